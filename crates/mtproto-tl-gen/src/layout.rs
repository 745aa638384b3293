//! What follows from how declarations hold one another: boxes, `Eq`, least lengths, ends.

use crate::error::{Error, ErrorKind};
use crate::graph::{bottom_up, components, leading_to};
use crate::model::{Field, Model, Presence, Slot, Struct, Target, Wire};
use crate::schema::{Body, Declaration};

pub(crate) fn decide_layout(model: &mut Model, declarations: &[&Declaration]) -> Result<(), Error> {
    decide_boxes(model);
    decide_eq(model);
    check_ends(model, declarations)?;
    decide_lengths(model, declarations)
}

/// Nodes of the graphs here: structs by their index, enums after them.
fn node(target: Target, model: &Model) -> usize {
    match target {
        Target::Enum(index) => model.structs.len() + index,
        Target::Struct(index) => index,
    }
}

/// The graph whose edges lead from a struct to what the fields that `choose` accepts hold, and from
/// an enum to its constructors.
fn edges(model: &Model, choose: impl Fn(&Struct, &Field) -> Option<Target>) -> Vec<Vec<usize>> {
    let of_struct = |it: &Struct| {
        it.fields().filter_map(|field| choose(it, field)).map(|held| node(held, model)).collect()
    };
    let mut edges: Vec<Vec<usize>> = model.structs.iter().map(of_struct).collect();
    edges
        .extend(model.enums.iter().map(|it| it.variants.iter().map(|it| it.constructor).collect()));
    edges
}

/// What a value holds in place, vectors not followed.
fn held_in_place(wire: &Wire) -> Option<Target> {
    match wire {
        Wire::Bare(index) => Some(Target::Struct(*index)),
        Wire::Boxed(target) => Some(*target),
        Wire::Leaf { .. } | Wire::Query(_) | Wire::Raw | Wire::Vector { .. } => None,
    }
}

fn decide_boxes(model: &mut Model) {
    let component = components(&edges(model, |_, field| held_in_place(&field.wire)));
    let structs = model.structs.len();
    for (number, it) in model.structs.iter_mut().enumerate() {
        for slot in &mut it.slots {
            let Slot::Field(field) = slot else { continue };
            field.is_boxed = held_in_place(&field.wire).is_some_and(|held| {
                let held = match held {
                    Target::Enum(index) => structs + index,
                    Target::Struct(index) => index,
                };
                component[held] == component[number]
            });
        }
    }
}

fn decide_eq(model: &mut Model) {
    let holds_float = |it: &Struct| {
        it.fields()
            .any(|field| matches!(field.wire.innermost(), Wire::Leaf { path, .. } if path == "f64"))
    };
    let seeds = (0..model.structs.len()).filter(|&number| holds_float(&model.structs[number]));
    let edges = edges(model, |_, field| held_in_place(field.wire.innermost()));
    let tainted = leading_to(&edges, seeds);
    let (structs, enums) = tainted.split_at(model.structs.len());
    for (it, tainted) in model.structs.iter_mut().zip(structs) {
        it.has_eq = !tainted;
    }
    for (it, tainted) in model.enums.iter_mut().zip(enums) {
        it.has_eq = !tainted;
    }
}

/// An object left as it is takes all that is left, so nothing may follow it.
fn check_ends(model: &Model, declarations: &[&Declaration]) -> Result<(), Error> {
    let last = |it: &Struct| match it.slots.last() {
        Some(Slot::Field(field)) => Some(field.ident.clone()),
        Some(Slot::Flags { .. }) | None => None,
    };
    let edges = edges(model, |it, field| {
        held_in_place(&field.wire).filter(|_| last(it).as_ref() == Some(&field.ident))
    });
    let holds_raw = |it: &Struct| it.fields().any(|field| matches!(field.wire, Wire::Raw));
    let seeds = (0..model.structs.len()).filter(|&number| holds_raw(&model.structs[number]));
    let open = leading_to(&edges, seeds);
    let is_open = |wire: &Wire| {
        matches!(wire, Wire::Raw) || held_in_place(wire).is_some_and(|it| open[node(it, model)])
    };
    for (it, declaration) in model.structs.iter().zip(declarations) {
        let last = last(it);
        let followed = it.fields().find(|field| match &field.wire {
            Wire::Vector { .. } => is_open(field.wire.innermost()),
            wire => is_open(wire) && last.as_ref() != Some(&field.ident),
        });
        if let Some(field) = followed {
            let kind = ErrorKind::OpenEnded(field.ident.clone());
            return Err(Error { at: field_position(declaration, it, field), kind });
        }
    }
    Ok(())
}

fn field_position(declaration: &Declaration, it: &Struct, field: &Field) -> crate::error::Position {
    let number = it
        .slots
        .iter()
        .position(|slot| matches!(slot, Slot::Field(other) if other.ident == field.ident));
    match (&declaration.body, number) {
        (Body::Fields(fields), Some(number)) => fields[number].at,
        _ => declaration.at,
    }
}

fn decide_lengths(model: &mut Model, declarations: &[&Declaration]) -> Result<(), Error> {
    let edges = edges(model, |_, field| match (&field.presence, &field.wire) {
        (Presence::Always, Wire::Bare(index)) => Some(Target::Struct(*index)),
        _ => None,
    });
    let structs_only = edges.get(..model.structs.len()).unwrap_or_default();
    let order = bottom_up(structs_only).map_err(|stuck| Error {
        at: declarations[stuck].at,
        kind: ErrorKind::Endless(declarations[stuck].name.clone()),
    })?;
    for number in order {
        let len_of = |slot: &Slot| match slot {
            Slot::Flags { .. } => 4,
            Slot::Field(field) if field.presence == Presence::Always => {
                wire_len_min(&field.wire, &model.structs)
            }
            Slot::Field(_) => 0,
        };
        let len = model.structs[number].slots.iter().map(len_of).fold(0, usize::saturating_add);
        model.structs[number].len_min = len;
    }
    Ok(())
}

/// The least number of bytes a value takes. The constructors of what is bare are already measured;
/// those of what is boxed may take none.
pub(crate) fn wire_len_min(wire: &Wire, structs: &[Struct]) -> usize {
    match wire {
        Wire::Bare(index) => structs[*index].len_min,
        Wire::Boxed(_) => 4,
        Wire::Leaf { len_min, .. } => *len_min,
        Wire::Query(_) | Wire::Raw => 0,
        Wire::Vector { is_boxed: true, .. } => 8,
        Wire::Vector { is_boxed: false, .. } => 4,
    }
}
