//! The arithmetic of each mllib on two pixels, by hand.

use super::*;

/// Two pixels beside each other, blue first: (10, 20, 30) and (40, 50, 60).
fn image() -> Image {
    Image {
        width: 2,
        height: 1,
        channels: 3,
        pixels: Pixels::U8(vec![10, 20, 30, 40, 50, 60]),
        original_width: 2,
        original_height: 1,
        frame: None,
    }
}

fn samples(normalization: Normalization) -> Samples {
    Samples::Images { images: vec![image()], normalization }
}

fn preparation(arithmetic: Arithmetic) -> Preparation {
    Preparation {
        shape: SampleShape::Image { width: Some(2), height: Some(1), channels: 3 },
        row: Vec::new(),
        layout: Layout::ChannelsFirst,
        input: InputType::F32,
        arithmetic,
        usual: Normalization::default(),
    }
}

fn floats(preparation: &Preparation, normalization: Normalization) -> Vec<f32> {
    let samples = samples(normalization);
    preparation.check(&samples).expect("fits");
    preparation.batch(&samples, 0..1).expect("converts").into_floats().expect("numbers").into_values()
}

fn caffe(mean: Mean, scale: f32) -> Preparation {
    preparation(Arithmetic::Caffe { mean, scale })
}

#[test]
fn caffe_subtracts_then_multiplies() {
    let none = Normalization::default();
    let asked = Normalization { mean: vec![10.0, 20.0, 30.0], ..Normalization::default() };
    let picture = Mean::Image { file: "m".into(), width: 2, height: 1, values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
    let cases = [
        (caffe(Mean::Absent, 1.0), none.clone(), [10.0, 40.0, 20.0, 50.0, 30.0, 60.0]),
        (caffe(Mean::Absent, 0.5), asked.clone(), [0.0, 15.0, 0.0, 15.0, 0.0, 15.0]),
        (caffe(Mean::Channels(vec![5.0]), 1.0), none.clone(), [5.0, 35.0, 15.0, 45.0, 25.0, 55.0]),
        (caffe(Mean::Channels(vec![5.0]), 1.0), asked, [-5.0, 25.0, -5.0, 25.0, -5.0, 25.0]),
        (caffe(picture, 2.0), none, [18.0, 76.0, 34.0, 92.0, 50.0, 108.0]),
    ];
    for (preparation, normalization, expected) in cases {
        assert_eq!(floats(&preparation, normalization), expected, "{preparation:?}");
    }
}

#[test]
fn others_multiply_then_subtract_then_divide() {
    let normalization = Normalization { mean: vec![1.0, 2.0, 3.0], std: vec![2.0, 4.0, 8.0], scale: 0.1 };
    let found = floats(&preparation(Arithmetic::Scaled), normalization);
    for (found, expected) in found.iter().zip([0.0, 1.5, 0.0, 0.75, 0.0, 0.375]) {
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
}

#[test]
fn channels_last_and_bytes_keep_the_pixels_in_place() {
    let last = Preparation { layout: Layout::ChannelsLast, ..preparation(Arithmetic::Scaled) };
    assert_eq!(floats(&last, Normalization::default()), [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
    let bytes = Preparation { input: InputType::U8, ..preparation(Arithmetic::Scaled) };
    let array = bytes.batch(&samples(Normalization::default()), 0..1).expect("converts");
    assert_eq!(array.values(), &Values::U8(vec![10, 40, 20, 50, 30, 60]));
    assert_eq!(array.shape(), [1, 3, 1, 2]);
}

#[test]
fn what_does_not_fit_is_named_with_both_sizes() {
    let wrong_mean = Normalization { mean: vec![1.0, 2.0], ..Normalization::default() };
    let scaled = Normalization { scale: 2.0, ..Normalization::default() };
    let divided = Normalization { std: vec![2.0; 3], ..Normalization::default() };
    let wider = Preparation {
        shape: SampleShape::Image { width: Some(227), height: None, channels: 3 },
        ..preparation(Arithmetic::Scaled)
    };
    let row = Preparation { shape: SampleShape::Row { columns: 4 }, ..preparation(Arithmetic::Scaled) };
    let bytes = Preparation { input: InputType::U8, ..preparation(Arithmetic::Scaled) };
    let cases = [
        (wider, samples(Normalization::default()), "width 227, height any and 3 channels, found 2, 1 and 3"),
        (preparation(Arithmetic::Scaled), samples(wrong_mean), "number of channels: 3, found 2"),
        (row.clone(), samples(Normalization::default()), "takes rows, found images"),
        (row, Samples::Table(Floats::new(vec![1, 3], vec![0.0; 3]).expect("fits")), "takes 4 columns, found 3"),
        (bytes, samples(scaled.clone()), "takes pixels as they are"),
        (
            caffe(Mean::Absent, 1.0),
            samples(scaled),
            "multiplied by parameters.mllib.scale alone (parameters.input.scale)",
        ),
        (caffe(Mean::Absent, 1.0), samples(divided), "(parameters.input.std)"),
    ];
    for (preparation, samples, expected) in cases {
        let error = preparation.check(&samples).expect_err("does not fit").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let picture = |width, values| caffe(Mean::Image { file: "mean.binaryproto".into(), width, height: 1, values }, 1.0);
    let asked = |mean: [f32; 3]| samples(Normalization { mean: mean.to_vec(), ..Normalization::default() });
    assert!(picture(2, vec![1.0; 6]).check(&asked([0.0; 3])).is_ok(), "zeros ask for nothing");
    let error = picture(2, vec![1.0; 6]).check(&asked([0.0, 0.0, 1.0])).expect_err("two means").to_string();
    assert!(
        error.contains("expected none beside mean.binaryproto") && error.contains("parameters.input.mean"),
        "{error}"
    );
    let other = picture(4, vec![0.0; 12]);
    let error = other.batch(&samples(Normalization::default()), 0..1).expect_err("another size").to_string();
    assert!(error.contains("the mean image has width 4, height 1") && error.contains("have 2, 1"), "{error}");
}

#[test]
fn training_gets_the_same_numbers() {
    let arithmetic = Arithmetic::Caffe { mean: Mean::Channels(vec![5.0]), scale: 0.5 };
    let tensor = prepare_for_training(&samples(Normalization::default()), &arithmetic).expect("converts");
    assert_eq!(tensor.shape(), [1, 3, 1, 2]);
    assert_eq!(tensor.values(), floats(&preparation(arithmetic), Normalization::default()));
    let table = Floats::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]).expect("fits");
    assert_eq!(prepare_for_training(&Samples::Table(table.clone()), &Arithmetic::Scaled).expect("converts"), table);
}
