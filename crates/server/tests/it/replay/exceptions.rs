//! Every recorded request that is answered otherwise, and why. No other request may be.
//!
//! "Decision n" is a row of the table of decisions on the contract; "stored" is decision 8: what training learnt is kept in the
//! repository and used when a request does not say it.

use Ours::{Answers, Later, Shape};

/// How a request is answered here.
pub(super) enum Ours {
    /// With this status and dd_code.
    Answers(u16, Option<u16>),
    /// As recorded, but for the members at these paths.
    Shape(&'static [&'static str]),
    /// Not in this version; the request is not sent.
    Later,
}

/// Some requests of one transcript.
pub(super) struct Exception {
    pub(super) transcript: &'static str,
    pub(super) numbers: &'static [u32],
    pub(super) ours: Ours,
    /// Shown when the exception is not needed any more.
    pub(super) reason: &'static str,
}

/// Members that differ in every answer of a route: start of the path, member, reason.
pub(super) const EVERYWHERE: &[(&str, &str, &str)] = &[
    ("/info", "status", "decision 1: sent, as the documentation shows"),
    ("/info", "head.services.*.stats", FIGURES),
    ("/info", "head.services.*.model_stats", FIGURES),
    ("/info", "head.services.*.width", AFTER_TRAIN),
    ("/info", "head.services.*.height", AFTER_TRAIN),
    ("/info", "head.services.*.version", VERSION),
    ("/info", "head.services.*.output", OUTPUT),
    ("/info", "head.services.*.output_activation", OUTPUT),
    ("/services", "body.version", VERSION),
    ("/services", "body.output", OUTPUT),
    ("/services", "body.output_activation", OUTPUT),
    ("/services", "body.stats", FIGURES),
    ("/services", "body.model_stats", FIGURES),
    ("/services", "body.width", AFTER_TRAIN),
    ("/services", "body.height", AFTER_TRAIN),
];

const VERSION: &str = "an addition: which model answers, as in X-Dede-Served-By";
const OUTPUT: &str = "an addition: which output is answered, and what it holds";
const FIGURES: &str = "all members are optional: memory of Caffe's blobs is left out, operations are counted instead";
const AFTER_TRAIN: &str =
    "the original says that it trains, and so leaves the size out, from a blocking train or a train that failed on";

/// How many requests are left for later.
pub(super) const LATER: usize = 18;

const CRASH: &str = "killed the original; a clear 4xx";
const STORED: &str = "stored";
const NOT_ERASED: &str =
    "decision 10: a template that differs is refused, one that is the same accepted, and no network is erased";
const FOLLOWS: &str = "follows from the request before";
const MISMATCH: &str = "data that does not fit the network is the client's mistake: 400, not an internal error";
const NO_NETWORK: &str = "predict before training is a clear 4xx";
const LEFT_OVER: &str = "left over in the process from the training before";

/// All of them, by transcript and number.
pub(super) const ALL: &[Exception] = &[
    of_01(&[6, 7], Shape(&["status.dd_msg"]), "an addition: which key is missing"),
    of_01(&[12], Later, "xgboost"),
    of_01(
        &[20],
        Answers(201, None),
        "templates are built in: their directory, which clients send as it was elsewhere, is not looked at",
    ),
    of_01(&[21], Answers(409, Some(1014)), FOLLOWS),
    of_01(&[24, 25, 47, 48, 50], Shape(&["status.dd_msg"]), "an addition: what is wrong with the JSON, and where"),
    of_01(&[46, 52, 55, 56, 57, 58, 59], Answers(400, Some(400)), CRASH),
    of_02(&[5, 7, 19], Answers(200, None), STORED),
    of_02(&[13], Shape(&["body.measure.learning_rate"]), LEFT_OVER),
    of_02(&[17], Answers(400, Some(1005)), MISMATCH),
    of_02(&[24], Shape(&["body.measure", "body.measure_hist"]), "how far a training is by then depends on the machine"),
    of_02(&[25], Shape(&["body.jobs"]), "how far a training is by then depends on the machine"),
    of_02b(&[2, 3, 4, 5, 6, 7, 8, 9], Answers(200, None), "categorical columns work at predict"),
    of_04(&[2], Shape(&["body.parameters.mllib"]), "the batch size is as asked, so there is none to report"),
    of_04(&[3, 4], Answers(200, None), "the two targets are not counted as columns of a predict"),
    of_04(&[5], Shape(&["body.measure.learning_rate"]), LEFT_OVER),
    of_04(&[7, 16], Answers(201, None), "killed the original; a regression with one target trains"),
    of_04(&[8], Answers(200, None), FOLLOWS),
    of_04(&[9, 10, 11, 12], Later, "svm"),
    of_05(&[2], Shape(&["body.parameters"]), "the connector is named, as it is for csv"),
    of_05(&[4, 5, 6], Later, "template squeezenet"),
    of_05(&[7, 8, 9, 10, 11, 12], Later, "template resnet_18"),
    of_05(&[20], Shape(&["body.measure.learning_rate"]), LEFT_OVER),
    of_05(&[27, 28], Answers(400, Some(1006)), MISMATCH),
    of_09(&[2], Later, "template resnet_18"),
    of_09(&[10], Shape(&["status.dd_msg"]), "an addition: what is wrong with the JSON, and where"),
    of_09(&[14, 15], Answers(400, Some(400)), CRASH),
    of_10(&[8], Answers(200, None), STORED),
    of_10(&[13], Answers(201, None), "decision 9: the number of classes is read from the network"),
    of_10(&[14], Answers(200, None), FOLLOWS),
    of_10(&[15], Answers(400, Some(1006)), "decision 9: another nclasses than the network's is refused"),
    of_10(&[16], Answers(404, Some(1002)), FOLLOWS),
    of_10(&[21], Answers(400, Some(1006)), NOT_ERASED),
    of_10(&[22], Answers(404, Some(1002)), FOLLOWS),
    of_10(&[28], Answers(200, None), "decision 9: the size is read from the network"),
    of_10(&[32, 33, 34], Later, "xgboost"),
    of_10(&[35], Answers(400, Some(1006)), "from_repository is not supported yet, and says so"),
    of_10b(&[7], Answers(201, None), NOT_ERASED),
    of_10b(&[8], Answers(200, None), FOLLOWS),
    of_10b(&[11], Answers(400, Some(1006)), NOT_ERASED),
    of_10b(&[12], Answers(404, Some(1002)), FOLLOWS),
    of_10b(&[13, 17], Answers(201, None), NOT_ERASED),
    of_10b(&[14, 16, 18], Answers(200, None), NOT_ERASED),
    of_10b(&[20, 22], Answers(400, Some(1006)), NO_NETWORK),
];

macro_rules! transcripts {
    ($($function:ident $name:literal)*) => {$(
        const fn $function(numbers: &'static [u32], ours: Ours, reason: &'static str) -> Exception {
            Exception { transcript: $name, numbers, ours, reason }
        }
    )*};
}

transcripts! {
    of_01 "01_info_services"
    of_02 "02_csv_caffe_mlp"
    of_02b "02b_csv_categoricals_predict"
    of_04 "04_caffe_regression"
    of_05 "05_image_classification"
    of_09 "09_chain"
    of_10 "10_move_dev_to_prod"
    of_10b "10b_template_over_existing_model"
}

/// The one for a request.
pub(super) fn find(transcript: &str, number: u32) -> Option<&'static Exception> {
    of(transcript).find(|exception| exception.numbers.contains(&number))
}

/// Those of one transcript.
pub(super) fn of(transcript: &str) -> impl Iterator<Item = &'static Exception> {
    ALL.iter().filter(move |exception| exception.transcript == transcript)
}
