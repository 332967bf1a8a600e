//! Chains of DeepDetect as the engine takes them, and the engine's answers as its JSON: answers in answers (contract.md, part 6).
//!
//! It must not know how a chain is run, nor what actions do.

use dede_api::answer::{Answer, Status};
use dede_api::chain::{
    ChainBody, ChainCall, ChainHead, ChainPrediction, ChainWhat, MEMBERS_OF_CLASSES, MEMBERS_OF_ITEMS, Nested,
};
use dede_api::predictions::{Prediction, Values};
use dede_engine::chain::{ActionAnswer, AskedCall, ChainAnswer, Members, Place, StepAnswer, What};
use dede_engine::service::PredictCall;
use dede_model::error::{Error, Result};
use dede_model::picture::Picture;
use dede_model::quote::quote;

use super::answer::round_ms;
use super::predictions::predictions;
use super::requests::sections;

/// What a byte of a picture takes as text, bytes.
const PIXEL_TEXT: u64 = 4;

/// Names that no answer within another has.
pub(crate) const MEMBERS: Members = Members { of_items: MEMBERS_OF_ITEMS, of_classes: MEMBERS_OF_CLASSES };

/// The calls of a chain.
///
/// # Errors
/// [`Error::BadChain`] for one that is both a service and an action, or neither.
pub(crate) fn asked_calls(calls: Vec<ChainCall>, is_guest: bool) -> Result<Vec<AskedCall>> {
    let asked = |(number, call): (usize, ChainCall)| {
        let ChainCall { id, parent_id: parent, what } = call;
        let refused = |what: &str| {
            let shown = id.as_deref().map_or_else(|| number.to_string(), quote);
            Err(Error::bad_chain(format!("chain call {shown} names {what}, expected one of both")))
        };
        let what = match what {
            ChainWhat::Service { service, parameters, data, ids } => {
                let parameters = sections(parameters);
                let request = PredictCall { is_guest, parameters, data, ids, ..PredictCall::default() };
                What::Service { name: service, request: Box::new(request) }
            }
            ChainWhat::Action { kind, parameters } => What::Action { kind, parameters },
            ChainWhat::Both => return refused("a service and an action"),
            ChainWhat::Neither => return refused("neither a service nor an action"),
        };
        Ok(AskedCall { id, parent, what })
    };
    calls.into_iter().enumerate().map(asked).collect()
}

/// The answer to a chain. What its parts take is counted in their memory.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Overloaded`] of the memory.
pub(crate) fn whole_chain(answer: ChainAnswer) -> Result<Answer<ChainHead, ChainBody>> {
    let ChainAnswer { first, took } = answer;
    let predictions = rendered(first, ChainPrediction::outermost)?;
    let head = ChainHead { method: "/chain", time: round_ms(took) };
    Ok(Answer::whole(Status::ok(), head, ChainBody { predictions }))
}

/// The predictions of a call, with what was made of them.
fn rendered(step: StepAnswer, of: fn(Prediction) -> ChainPrediction) -> Result<Vec<ChainPrediction>> {
    let StepAnswer { outputs, uris, labels, output, stays, actions, memory: _memory, .. } = step;
    let rendered = predictions(&outputs, uris, &labels, &output);
    let mut all: Vec<ChainPrediction> = rendered.into_iter().map(of).collect();
    // Before classes are left out: what shows one says its place among all of them.
    for action in actions {
        for (name, answers, places) in within(action)? {
            for (answer, place) in answers.into_iter().zip(places) {
                if let Some(nested) = nested_at(&mut all, place) {
                    nested.0.push((name.clone(), answer));
                }
            }
        }
    }
    if let Some(stays) = stays {
        all.iter_mut().zip(stays).for_each(|(prediction, stays)| leave_out(prediction, &stays));
    }
    Ok(all)
}

/// Where an answer about a place stands.
fn nested_at(all: &mut [ChainPrediction], place: Place) -> Option<&mut Nested> {
    let prediction = all.get_mut(place.item)?;
    match place.class {
        None => Some(&mut prediction.nested),
        Some(class) => prediction.classes.get_mut(class).map(|class| &mut class.nested),
    }
}

/// An answer for each picture of an action, its name, and where each stands.
type Within = (String, Vec<ChainPrediction>, Vec<Place>);

/// The answers that stand in the answer that an action worked on: its own, and those of the services that read what it made. What these say
/// of whole pictures stands beside them, as they do.
fn within(action: ActionAnswer) -> Result<Vec<Within>> {
    let ActionAnswer { id, places, shown, steps, memory } = action;
    let mut all = Vec::with_capacity(steps.len() + 1);
    if let Some(pictures) = shown {
        let text: u64 = pictures.iter().map(Picture::bytes).sum();
        memory.grow(text.saturating_mul(PIXEL_TEXT))?;
        let drawn = |picture: Picture| {
            let vals = Some(Values::Pixels(blue_first(picture)));
            ChainPrediction::within(Prediction { vals, ..Prediction::default() })
        };
        all.push((id, pictures.into_iter().map(drawn).collect(), places.clone()));
    }
    for step in steps {
        let name = step.asked.as_str().to_owned();
        let mut answers = rendered(step, ChainPrediction::within)?;
        let beside = taken_out(&mut answers);
        all.push((name, answers, places.clone()));
        for (name, answer, item) in beside {
            all.push((name, vec![answer], places.get(item).copied().into_iter().collect()));
        }
    }
    Ok(all)
}

/// Takes out what was said of whole items: name, answer, and number of the item.
fn taken_out(answers: &mut [ChainPrediction]) -> Vec<(String, ChainPrediction, usize)> {
    let taken = answers.iter_mut().enumerate().flat_map(|(item, answer)| {
        let nested = std::mem::take(&mut answer.nested);
        nested.0.into_iter().map(move |(name, within)| (name, within, item))
    });
    taken.collect()
}

/// Leaves the classes out that do not stay, and marks the last one that does.
fn leave_out(prediction: &mut ChainPrediction, stays: &[usize]) {
    let mut number = 0;
    prediction.classes.retain(|_| {
        number += 1;
        stays.contains(&(number - 1))
    });
    let last = prediction.classes.len().saturating_sub(1);
    prediction.classes.iter_mut().enumerate().for_each(|(rank, class)| class.score.last = rank == last);
}

/// Pixels as the original answers them: blue, green and red; grey ones three times.
fn blue_first(picture: Picture) -> Vec<u8> {
    if picture.channels() == 1 {
        return picture.pixels().iter().flat_map(|value| [*value; 3]).collect();
    }
    let mut pixels = picture.into_pixels();
    pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
    pixels
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use dede_engine::name::ServiceName;
    use dede_engine::output::OutputOptions;
    use dede_model::labels::Labels;
    use dede_model::outputs::{Corners, Detection, Detections, Outputs};
    use dede_model::request_memory::MemoryShare;
    use dede_model::tensor::Floats;
    use serde_json::json;

    use super::*;

    fn step(name: &str, position: usize, outputs: Outputs, actions: Vec<ActionAnswer>) -> StepAnswer {
        let asked = ServiceName::parse(name).unwrap();
        StepAnswer {
            position,
            service: Arc::new(asked.clone()),
            asked,
            version: "none".into(),
            uris: (0..outputs.len()).map(|number| format!("{number}.jpg")).collect(),
            outputs,
            labels: Arc::new(Labels::from_names(["cat", "dog"])),
            output: OutputOptions::parse(&dede_api::Object::new()).unwrap(),
            stays: None,
            actions,
            memory: MemoryShare::unbounded(),
        }
    }

    fn action(id: &str, places: &[(usize, Option<usize>)], steps: Vec<StepAnswer>) -> ActionAnswer {
        let places = places.iter().map(|(item, class)| Place { item: *item, class: *class }).collect();
        ActionAnswer { id: id.into(), places, shown: None, steps, memory: MemoryShare::unbounded() }
    }

    fn classes(rows: &[[f32; 2]]) -> Outputs {
        Outputs::Classification(Floats::new(vec![rows.len(), 2], rows.concat()).unwrap())
    }

    fn boxes(counts: &[usize]) -> Outputs {
        let corners = Corners { xmin: 0.0, ymin: 0.0, xmax: 1.0, ymax: 1.0 };
        let one = |number: usize| Detection { class: number % 2, score: 0.5 / (number + 1) as f32, corners };
        Outputs::Detection(
            Detections::new(counts.iter().map(|count| (0..*count).map(one).collect()).collect()).unwrap(),
        )
    }

    fn json_of(first: StepAnswer) -> serde_json::Value {
        let answer = whole_chain(ChainAnswer { first, took: Duration::from_millis(3) }).unwrap();
        serde_json::to_value(answer).unwrap()
    }

    /// The first image has two boxes of which one is left out, the second none, the third one: each answer goes to its own box.
    #[test]
    fn answers_about_boxes_stand_in_them_in_whatever_order_they_were_made() {
        let breeds = step("breeds", 2, classes(&[[0.75, 0.25], [0.25, 0.75]]), vec![]);
        let crop = action("crop", &[(0, Some(1)), (2, Some(0))], vec![breeds]);
        let mut first = step("boxes", 0, boxes(&[2, 0, 1]), vec![crop]);
        let answer = json_of(first);
        assert_eq!(answer["head"], json!({"method": "/chain", "time": 3.0}));
        let predictions = &answer["body"]["predictions"];
        assert_eq!(predictions[0]["uri"], "0.jpg");
        assert!(predictions[0]["classes"][0].get("breeds").is_none());
        let nested = |cat: &str| json!({"classes": [{"prob": 0.75, "cat": cat, "last": true}], "images": []});
        assert_eq!(predictions[0]["classes"][1]["breeds"], nested("cat"));
        assert_eq!(predictions[1], json!({"uri": "1.jpg", "classes": [], "images": []}));
        assert_eq!(predictions[2]["classes"][0]["breeds"], nested("dog"));

        // A filter that comes after the crop leaves a class out with all that was said of it.
        let breeds = step("breeds", 2, classes(&[[0.75, 0.25], [0.25, 0.75]]), vec![]);
        first = step("boxes", 0, boxes(&[2, 0, 1]), vec![action("crop", &[(0, Some(1)), (2, Some(0))], vec![breeds])]);
        first.stays = Some(vec![vec![1], vec![], vec![]]);
        let answer = json_of(first);
        let predictions = &answer["body"]["predictions"];
        let left = &predictions[0]["classes"];
        assert_eq!(
            (left.as_array().unwrap().len(), &left[0]["cat"], &left[0]["last"]),
            (1, &json!("dog"), &json!(true))
        );
        assert_eq!(left[0]["breeds"], nested("cat"));
        assert_eq!(predictions[2]["classes"], json!([]));
    }

    /// Boxes, the angle of what is in each, and what it is once it stands upright: both stand in the box.
    #[test]
    fn answers_about_whole_pictures_stand_beside_the_one_that_they_were_made_of() {
        let kind = step("kind", 4, classes(&[[0.75, 0.25]]), vec![]);
        let angle = step("angle", 2, classes(&[[0.25, 0.75]]), vec![action("up", &[(0, None)], vec![kind])]);
        let answer = json_of(step("boxes", 0, boxes(&[1]), vec![action("crop", &[(0, Some(0))], vec![angle])]));
        let found = &answer["body"]["predictions"][0]["classes"][0];
        assert_eq!(
            (&found["angle"]["classes"][0]["cat"], &found["kind"]["classes"][0]["cat"]),
            (&json!("dog"), &json!("cat"))
        );
        assert!(found["angle"].get("kind").is_none());
        let kind = step("kind", 2, classes(&[[0.75, 0.25]]), vec![]);
        let answer = json_of(step("angle", 0, classes(&[[0.25, 0.75]]), vec![action("up", &[(0, None)], vec![kind])]));
        assert_eq!(answer["body"]["predictions"][0]["kind"]["classes"][0]["cat"], "cat");
    }

    #[test]
    fn drawn_pictures_are_bytes_under_the_id_of_their_action() {
        let mut draw = action("drawn", &[(0, None), (1, None)], vec![]);
        let picture = |channels, pixels| Picture::new(2, 1, channels, pixels).unwrap();
        draw.shown = Some(vec![picture(3, vec![1, 2, 3, 4, 5, 6]), picture(1, vec![7, 8])]);
        let answer = json_of(step("boxes", 0, boxes(&[0, 0]), vec![draw]));
        let predictions = &answer["body"]["predictions"];
        assert_eq!(predictions[0]["drawn"], json!({"classes": [], "vals": [3, 2, 1, 6, 5, 4], "images": []}));
        assert_eq!(predictions[1]["drawn"]["vals"], json!([7, 7, 7, 8, 8, 8]));
    }

    #[test]
    fn a_call_is_one_thing() {
        for (what, expected) in [
            (ChainWhat::Both, "chain call x names a service and an action, expected one of both"),
            (ChainWhat::Neither, "chain call x names neither a service nor an action, expected one of both"),
        ] {
            let call = ChainCall { id: Some("x".into()), parent_id: None, what };
            assert_eq!(asked_calls(vec![call], false).unwrap_err().to_string(), expected);
        }
    }
}
