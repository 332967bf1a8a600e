//! The blobs of a BatchNorm in the layouts that Caffe and NVCaffe write. It owns which layout a file has, and refuses what
//! could be two of them.

use super::blob::Blob;

/// NVCaffe's layouts of five blobs, told apart by where the blob of one number is.
const LAYOUTS: &str =
    "mean, variance, correction, scale, bias (or scale, bias, mean, variance, correction of its first versions)";

/// The blobs in the order of the layer's weights (mean, variance, and scale and bias where it has them), and the factor that
/// mean and variance are to be multiplied with.
///
/// # Errors
/// Says which blobs were expected, or what the two readings are.
pub(super) fn arrange(mut blobs: Vec<Blob<'_>>, affine: bool) -> Result<(Vec<Blob<'_>>, f32), String> {
    let count = blobs.len();
    match (affine, count) {
        (false, 3) => {
            let factor = factor(&blobs[2])?;
            blobs.truncate(2);
            Ok((blobs, factor))
        }
        (true, 5) => nvcaffe(blobs).map(|blobs| (blobs, 1.0)),
        (false, 5) => Err(format!(
            "a BatchNorm here has 3 blobs, found 5: NVCaffe stores {LAYOUTS} where batch_norm_param.scale_bias is true, and \
             the network does not say so"
        )),
        (true, _) => Err(format!(
            "batch_norm_param.scale_bias is true, for which NVCaffe stores 5 blobs, {LAYOUTS}; found {count}"
        )),
        (false, _) => Err(format!("a BatchNorm here has 3 blobs, found {count}")),
    }
}

/// Five blobs as mean, variance, scale, bias. NVCaffe does not divide statistics that come with a scale and a bias.
fn nvcaffe(mut blobs: Vec<Blob<'_>>) -> Result<Vec<Blob<'_>>, String> {
    let is_number = |blob: &Blob<'_>| blob.len() == 1;
    let place = match (is_number(&blobs[2]), is_number(&blobs[4])) {
        (true, false) => 2,
        (false, true) => 4,
        (true, true) => {
            return Err(format!(
                "5 blobs of one number each can be {LAYOUTS}: with one channel the two cannot be told apart"
            ));
        }
        (false, false) => return Err(format!("5 blobs should be {LAYOUTS}, found no correction of one number")),
    };
    let correction = blobs.remove(place).to_vec()?;
    if correction != [1.0] {
        return Err(format!(
            "the correction of a BatchNorm with scale and bias should be 1, found {correction:?}: mean and variance could be \
             meant as they are (NVCaffe) or divided by it (BVLC's three blobs)"
        ));
    }
    if place == 4 {
        blobs.rotate_left(2);
    }
    Ok(blobs)
}

/// Caffe keeps sums of means and variances and, in a third blob, by what to divide them; 0 means nothing was summed.
fn factor(blob: &Blob<'_>) -> Result<f32, String> {
    match blob.to_vec()?.as_slice() {
        [0.0] => Ok(0.0),
        &[scale] => Ok(1.0 / scale),
        other => Err(format!("the third blob of a BatchNorm should be one number, found {}", other.len())),
    }
}
