//! Whole numbers as clients write them: `300`, and `300.0` where their language has no other form.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// Beyond this not every whole number is a double.
const LARGEST_DOUBLE: f64 = 9e15;

/// A whole number from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

/// A whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole(pub i64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        let float = whole(&number).filter(|float| *float >= 0.0).map(|float| float as u64);
        let wrong = || D::Error::custom(format!("expected a whole number from 0, found {number}"));
        number.as_u64().or(float).map(Self).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        let float = whole(&number).map(|float| float as i64);
        let wrong = || D::Error::custom(format!("expected a whole number, found {number}"));
        number.as_i64().or(float).map(Self).ok_or_else(wrong)
    }
}

fn whole(number: &Number) -> Option<f64> {
    number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < LARGEST_DOUBLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_doubles_are_whole_numbers() {
        for (text, expected) in [
            ("300", Ok(300)),
            ("300.0", Ok(300)),
            ("0", Ok(0)),
            ("-1", Err("expected a whole number from 0, found -1")),
            ("1.5", Err("expected a whole number from 0, found 1.5")),
            ("1e300", Err("expected a whole number from 0, found 1e+300")),
        ] {
            let found = serde_json::from_str::<Count>(text).map_err(|error| error.to_string());
            match (found, expected) {
                (Ok(Count(found)), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(found), Err(expected)) => assert!(found.starts_with(expected), "{text}: {found}"),
                (found, expected) => panic!("{text}: expected {expected:?}, found {found:?}"),
            }
        }
        let whole = |text| serde_json::from_str::<Whole>(text).map(|Whole(number)| number).ok();
        assert_eq!([whole("-1.0"), whole("7"), whole("0.5")], [Some(-1), Some(7), None]);
    }
}
