//! What GET /services/{name} and GET /info answer (contract.md 1.1 and 1.3).

use serde::Serialize;

use crate::Object;
use crate::training::JobView;

/// One service. The member order is the original's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceInfo {
    /// In lower case.
    pub name: String,
    /// As created.
    pub description: String,
    /// As created.
    pub mllib: String,
    /// `classification`, `regression`, …; empty while unknown.
    pub mltype: String,
    /// The output of the network that is answered, by its name in the file; left out without a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What that output holds, where classes are predicted: `softmax`, `log_softmax`, `sigmoid`, `heads` or `logits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_activation: Option<&'static str>,
    /// Creation parameters with defaults filled in: see [`crate::defaults::creation_parameters`].
    pub parameters: Object,
    /// `supervised` or `unsupervised`.
    #[serde(rename = "type")]
    pub service_type: String,
    /// False while it trains.
    pub predict: bool,
    /// True while it trains.
    pub training: bool,
    /// The same as `model_stats`, under its old name.
    pub stats: ModelStats,
    /// Figures of the network.
    pub model_stats: ModelStats,
    /// Present when asked for with `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Vec<JobView>>,
    /// Class names; present when asked for with `labels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// `model.repository` as sent.
    pub repository: String,
    /// Digest of everything that decides an answer, `sha256:…`; left out without a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Columns of the input; left out while it trains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    /// Rows of the input; left out while it trains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// Counters since the service came up.
    pub service_stats: ServiceStats,
}

/// Figures of a network; integers, because a client decodes them as such, and left out when 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ModelStats {
    /// Trained values.
    #[serde(skip_serializing_if = "is_zero")]
    pub params: u64,
    /// Floating-point operations for one sample.
    #[serde(skip_serializing_if = "is_zero")]
    pub flops: u64,
    /// Bytes while training.
    #[serde(skip_serializing_if = "is_zero")]
    pub data_mem_train: u64,
    /// Bytes while predicting.
    #[serde(skip_serializing_if = "is_zero")]
    pub data_mem_test: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Counters of a service; the averages follow from them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ServiceStats {
    /// Items whose input was read.
    pub inference_count: u64,
    /// Predicts that were answered.
    pub predict_success: u64,
    /// Predicts that failed.
    pub predict_failure: u64,
    /// Milliseconds of all predicts together.
    pub total_predict_duration_ms: f64,
    /// Milliseconds of reading all inputs together.
    pub total_transform_duration_ms: f64,
}

impl Serialize for ServiceStats {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let predict_count = self.predict_success + self.predict_failure;
        let average = |total: f64| if predict_count == 0 { -1.0 } else { total / predict_count as f64 };
        let transform_ms = average(self.total_transform_duration_ms);
        let predict_ms = average(self.total_predict_duration_ms);
        ServiceStatsOnTheWire {
            avg_transform_duration: transform_ms / 1000.0,
            avg_predict_duration: predict_ms / 1000.0,
            avg_transform_duration_s: transform_ms / 1000.0,
            avg_predict_duration_s: predict_ms / 1000.0,
            avg_transform_duration_ms: transform_ms,
            avg_predict_duration_ms: predict_ms,
            avg_batch_size: average(self.inference_count as f64),
            total_transform_duration_ms: self.total_transform_duration_ms,
            predict_failure: self.predict_failure,
            total_predict_duration_ms: self.total_predict_duration_ms,
            predict_count,
            predict_success: self.predict_success,
            inference_count: self.inference_count,
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct ServiceStatsOnTheWire {
    avg_transform_duration: f64,
    avg_predict_duration: f64,
    avg_transform_duration_s: f64,
    avg_predict_duration_s: f64,
    avg_transform_duration_ms: f64,
    avg_predict_duration_ms: f64,
    avg_batch_size: f64,
    total_transform_duration_ms: f64,
    predict_failure: u64,
    total_predict_duration_ms: f64,
    predict_count: u64,
    predict_success: u64,
    inference_count: u64,
}

/// `head` of GET /info.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InfoHead {
    /// `/info`.
    pub method: &'static str,
    /// `release` or `dev`.
    #[serde(rename = "build-type")]
    pub build_type: &'static str,
    /// With a leading `v`.
    pub version: &'static str,
    /// Branch it was built from; empty when unknown.
    pub branch: &'static str,
    /// Commit it was built from; empty when unknown.
    pub commit: &'static str,
    /// Cargo features, as `NAME=ON` and `NAME=OFF`.
    pub compile_flags: String,
    /// Engines and their versions.
    pub deps_version: String,
    /// All services, by name.
    pub services: Vec<ServiceInfo>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn averages_are_minus_one_before_the_first_predict() {
        let fresh = serde_json::to_value(ServiceStats::default()).expect("serialises");
        assert_eq!(fresh["avg_predict_duration_ms"], json!(-1.0));
        assert_eq!(fresh["avg_batch_size"], json!(-1.0));
        assert_eq!(fresh["avg_transform_duration_s"], json!(-0.001));
        assert_eq!(fresh["total_predict_duration_ms"], json!(0.0));
        assert_eq!(fresh["predict_count"], json!(0));
    }

    #[test]
    fn averages_are_over_all_predicts() {
        let stats = ServiceStats {
            inference_count: 25,
            predict_success: 11,
            predict_failure: 9,
            total_predict_duration_ms: 380.0,
            total_transform_duration_ms: 14.0,
        };
        let json = serde_json::to_value(stats).expect("serialises");
        assert_eq!(json["avg_batch_size"], json!(1.25));
        assert_eq!(json["avg_predict_duration_ms"], json!(19.0));
        assert_eq!(json["predict_count"], json!(20));
    }

    #[test]
    fn figures_that_are_zero_are_left_out() {
        let stats = ModelStats { params: 368, ..ModelStats::default() };
        assert_eq!(serde_json::to_value(stats).expect("serialises"), json!({"params": 368}));
    }
}
