//! The series in which a thread counted lately. Finding a series by its labels takes longer than counting in it, and most requests are
//! like the one before.
//!
//! It must not know what is counted.

/// Most series that a thread remembers; looking through them takes less than to find one by its labels.
const MOST: usize = 32;

/// Series by what tells them apart.
#[derive(Debug)]
pub(super) struct Lately<S>(Vec<S>);

impl<S> Lately<S> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The series that fits, looked up where it is not remembered.
    pub(super) fn find(&mut self, fits: impl Fn(&S) -> bool, look_up: impl FnOnce() -> S) -> &mut S {
        let place = self.0.iter().position(fits).unwrap_or_else(|| {
            if self.0.len() >= MOST {
                self.0.clear();
            }
            self.0.push(look_up());
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_looked_up_once_and_are_bounded() {
        let mut lately = Lately::new();
        let mut looked_up = 0;
        for round in 0..3 {
            for number in 0..MOST {
                let found = lately.find(
                    |known| *known == number,
                    || {
                        looked_up += 1;
                        number
                    },
                );
                assert_eq!(*found, number, "round {round}");
            }
        }
        assert_eq!(looked_up, MOST);
        assert_eq!(*lately.find(|known| *known == MOST, || MOST), MOST);
        assert_eq!(lately.0, [MOST]);
    }
}
