//! Along which axis of a value its classes are: that over which shares add up to 1, or that which weights made.
//!
//! A mean over another axis keeps probabilities what they are, one over this axis does not. It must not know what an output is answered
//! as.

use dede_model::backend::OutputActivation::{Heads, LogSoftmax, Logits, Sigmoid, Softmax};

use super::attributes::{integer, integers};
use super::axes::{Along, Mixes};
use super::facts::Fact;
use super::forms::{Form, Items, place_of};
use super::operators::{Operator, joined};
use super::origin::Origin;
use super::producers::Producers;
use crate::neural::onnx_view::NodeView;

/// The axes of the classes in what a node makes. `own` are those that it computes along; `out` is the shape of what it makes.
pub(super) fn made(
    node: &NodeView<'_>,
    kind: Operator,
    inputs: &[&Fact<'_, '_>],
    own: &Along,
    out: &Form,
    producers: &Producers<'_, '_>,
) -> Along {
    let moved = || {
        let computed = inputs.iter().find(|fact| fact.form.items != Items::Nowhere);
        computed.or(inputs.first()).map_or(Along::Unread, |fact| moved(node, fact, own, out, producers))
    };
    match kind {
        // Classifiers make rows.
        Operator::Activation(Softmax | LogSoftmax) | Operator::Normalizing if node.domain == "ai.onnx.ml" => {
            Along::Axes(vec![-1])
        }
        Operator::Activation(Softmax | LogSoftmax) | Operator::Normalizing => own.clone(),
        Operator::Activation(Sigmoid | Logits | Heads) | Operator::Label | Operator::Other => Along::Unread,
        Operator::Weighting => weighted(node, inputs),
        Operator::Joining => {
            let mut heads = joined(node).zip(inputs.iter().map(|fact| &fact.classes));
            let first = heads.next().map_or(&Along::Unread, |(_, classes)| classes);
            if node.op == "Concat" && heads.all(|(_, classes)| classes == first) {
                first.clone()
            } else {
                Along::Unread
            }
        }
        Operator::Passing
        | Operator::Choosing
        | Operator::Rounding
        | Operator::Renaming
        | Operator::Bounding
        | Operator::Averaging
        | Operator::Largest
        | Operator::Affine
        | Operator::Scaled
        | Operator::Quotient
        | Operator::Exponential
        | Operator::Logarithm => moved(),
    }
}

/// Products put what weights make last; convolutions, behind the items.
fn weighted(node: &NodeView<'_>, inputs: &[&Fact<'_, '_>]) -> Along {
    let is_constant = |place: usize| inputs.get(place).is_some_and(|fact| fact.origin == Origin::Constant);
    match node.op {
        op if op.contains("Conv") => Along::Axes(vec![1]),
        "Einsum" => Along::Unread,
        _ if is_constant(0) => Along::Unread,
        _ => Along::Axes(vec![-1]),
    }
}

/// Where they are after a node that moves numbers, or computes each for itself or over other axes.
fn moved(node: &NodeView<'_>, fact: &Fact<'_, '_>, own: &Along, out: &Form, producers: &Producers<'_, '_>) -> Along {
    let (classes, form) = (&fact.classes, &fact.form);
    let axes = || {
        let held = || producers.integers(node.inputs.get(1).filter(|axes| !axes.is_empty())?);
        integers(node, "axes").or_else(held)
    };
    let each = |place: &dyn Fn(usize) -> Option<usize>| {
        let places = listed(classes, form).and_then(|places| places.into_iter().map(place).collect::<Option<Vec<_>>>());
        places.map_or(Along::Unread, |places| Along::Axes(places.into_iter().map(|place| place as i64).collect()))
    };
    match node.op {
        "Transpose" => {
            let order = integers(node, "perm").filter(|order| !order.is_empty());
            let rank = order.as_ref().map(Vec::len).or(form.rank());
            let Some(rank) = rank else { return Along::Unread };
            let order = order.unwrap_or_else(|| (0..rank as i64).rev().collect());
            let ranked = Form::new(Some(vec![None; rank]), form.items);
            let places = listed(classes, &ranked).unwrap_or_default();
            let places: Option<Vec<i64>> = places
                .into_iter()
                .map(|place| order.iter().position(|&from| from == place as i64).map(|place| place as i64))
                .collect();
            places.filter(|places| !places.is_empty()).map_or(Along::Unread, Along::Axes)
        }
        "Unsqueeze" => {
            let Some(axes) = axes() else { return Along::Unread };
            let rank = form.rank().map(|rank| rank + axes.len());
            let put: Option<Vec<usize>> = axes.iter().map(|&axis| place_of(axis, rank)).collect();
            let Some(put) = put else { return Along::Unread };
            each(&|place| (0..).filter(|at| !put.contains(at)).nth(place))
        }
        "Squeeze" => {
            let gone: Option<Vec<usize>> = axes().and_then(|axes| axes.iter().map(|&axis| form.place(axis)).collect());
            let Some(gone) = gone else { return by_extents(classes, form, out) };
            each(&|place| (!gone.contains(&place)).then(|| place - gone.iter().filter(|&&at| at < place).count()))
        }
        "Reshape" | "Flatten" => by_extents(classes, form, out),
        "Gather" if form.rank() != out.rank() => Along::Unread,
        op if op.contains("Reduce") && integer(node, "keepdims").unwrap_or(1) == 0 => {
            let Along::Axes(gone) = own else { return Along::Unread };
            let gone: Option<Vec<usize>> = gone.iter().map(|&axis| form.place(axis)).collect();
            let Some(gone) = gone else { return Along::Unread };
            each(&|place| (!gone.contains(&place)).then(|| place - gone.iter().filter(|&&at| at < place).count()))
        }
        _ => match (form.rank(), out.rank()) {
            (Some(rank), Some(wider)) if rank < wider => each(&|place| Some(place + wider - rank)),
            (_, _) => classes.clone(),
        },
    }
}

/// The axes of another shape of the same numbers with as many numbers, and as many behind each.
fn by_extents(classes: &Along, form: &Form, out: &Form) -> Along {
    let behind = |form: &Form, place: usize| {
        let extents = form.extents.as_deref()?.get(place + 1..)?;
        extents.iter().try_fold(1i64, |all, one| all.checked_mul((*one)?))
    };
    let found = |place: usize| {
        let (extent, rest) = (form.extent(place)?, behind(form, place)?);
        (0..out.rank()?).find(|&other| out.extent(other) == Some(extent) && behind(out, other) == Some(rest))
    };
    let places = listed(classes, form).and_then(|places| places.into_iter().map(found).collect::<Option<Vec<_>>>());
    places.map_or(Along::Unread, |places| Along::Axes(places.into_iter().map(|place| place as i64).collect()))
}

/// The places of axes in a value of that form; `None` where they cannot be told.
fn listed(axes: &Along, form: &Form) -> Option<Vec<usize>> {
    match axes {
        Along::Axes(axes) if axes.is_empty() => None,
        Along::Axes(axes) => axes.iter().map(|&axis| form.place(axis)).collect(),
        Along::From(axis) => Some((form.place(*axis)?..form.rank()?).collect()),
        Along::Nothing | Along::All | Along::Unread => None,
    }
}

/// Whether what goes over `axes` of a value of that form goes over axes of its classes.
pub(super) fn meeting(classes: &Along, axes: &Along, form: &Form) -> Mixes {
    let ranked = |one: i64, other: i64| match (form.place(one), form.place(other)) {
        (Some(one), Some(other)) => {
            if one == other {
                Mixes::Yes
            } else {
                Mixes::No
            }
        }
        (None, None) => {
            if one == other {
                Mixes::Yes
            } else {
                Mixes::No
            }
        }
        (Some(_), None) | (None, Some(_)) => Mixes::Unknown,
    };
    let behind = |class: i64, first: i64| match (form.place(class), form.place(first)) {
        (Some(class), Some(first)) => {
            if class >= first {
                Mixes::Yes
            } else {
                Mixes::No
            }
        }
        // Windows need an axis behind those of items and channels.
        (None, _) if class == -1 => Mixes::Yes,
        (_, _) => Mixes::Unknown,
    };
    let class_axes = match (classes, listed(classes, form)) {
        (_, Some(places)) => places.into_iter().map(|place| place as i64).collect(),
        (Along::Axes(axes), None) if !axes.is_empty() => axes.clone(),
        (Along::From(first), None) => {
            return match axes {
                Along::Nothing => Mixes::No,
                Along::Axes(axes) if axes.iter().all(|axis| (0..*first).contains(axis)) => Mixes::No,
                Along::Axes(_) | Along::From(_) | Along::All | Along::Unread => Mixes::Unknown,
            };
        }
        (Along::Axes(_) | Along::Nothing | Along::All | Along::Unread, None) => {
            return if *axes == Along::Nothing { Mixes::No } else { Mixes::Unknown };
        }
    };
    let mut found = Mixes::No;
    for &class in &class_axes {
        let met: Vec<Mixes> = match axes {
            Along::Nothing => vec![],
            Along::All | Along::Unread => vec![Mixes::Unknown],
            Along::From(first) => vec![behind(class, *first)],
            Along::Axes(axes) => axes.iter().map(|&axis| ranked(class, axis)).collect(),
        };
        for one in met {
            found = match (found, one) {
                (Mixes::Yes, _) | (_, Mixes::Yes) => Mixes::Yes,
                (Mixes::No, Mixes::No) => Mixes::No,
                (Mixes::Unknown, _) | (_, Mixes::Unknown) => Mixes::Unknown,
            };
        }
    }
    found
}

/// Whether values have their classes along the same axes, and as many of them, as far as that is known.
pub(super) fn agree(facts: &[&Fact<'_, '_>]) -> bool {
    let Some((first, others)) = facts.split_first() else { return false };
    others.iter().all(|other| {
        let fits = match (first.form.rank(), other.form.rank()) {
            (Some(one), Some(another)) => {
                let extents = |place: usize| (first.form.extent(place), other.form.extent(place));
                one == another
                    && (0..one).all(|place| match extents(place) {
                        (Some(one), Some(other)) => one == other,
                        (_, _) => true,
                    })
            }
            (_, _) => true,
        };
        let places = (listed(&first.classes, &first.form), listed(&other.classes, &other.form));
        let along = match places {
            (Some(one), Some(other)) => one == other,
            (_, _) => first.classes == other.classes && first.classes != Along::Unread,
        };
        fits && along
    })
}

/// Whether a sum along axes of a value of that form, as it is used, divides each number by the sum of its own classes: it has one place
/// along these axes, and no more than the items besides.
pub(super) fn is_in_place(along: &Along, form: &Form, used: &Form) -> bool {
    let (Some(places), Some(rank)) = (listed(along, form), form.rank()) else { return false };
    let is_item = |place: usize| form.items == Items::At(place);
    let is_left = |place: usize| !places.contains(&place) && !is_item(place) && form.extent(place) != Some(1);
    match used.rank() {
        Some(0) => rank == places.len(),
        Some(used_rank) => {
            let is_one = places.iter().all(|&place| used.extent(place) == Some(1));
            used_rank == rank && used.items == form.items && is_one && !(0..rank).any(is_left)
        }
        None => false,
    }
}

/// How many classes there are, where they are along these axes of a value of that form.
pub(super) fn count(along: &Along, form: &Form) -> Option<f32> {
    let extents = listed(along, form)?.into_iter().map(|place| form.extent(place));
    extents.map(|extent| extent.map(|extent| extent as f32)).product()
}
