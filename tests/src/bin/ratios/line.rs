//! A line of the report: a measurement, its reference and its goal.

use std::fmt;

use serde::{Serialize, Serializer};

/// The bound that a value must keep.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(goal) => value <= goal,
            Self::AtLeast(goal) => value >= goal,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(goal) => write!(f, "<= {goal}"),
            Self::AtLeast(goal) => write!(f, ">= {goal}"),
        }
    }
}

impl Serialize for Goal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// Ours divided by the reference, or the reverse for a speedup; ours alone if there is no reference.
    pub(crate) value: f64,
    pub(crate) goal: Goal,
    pub(crate) ours: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) ok: bool,
}

impl Line {
    pub(crate) fn ratio(
        name: &'static str,
        goal: Goal,
        (ours, reference): (f64, f64),
        unit: &'static str,
    ) -> Self {
        Self::compared(name, goal, ours / reference, (ours, reference), unit)
    }

    /// A speedup: the reference divided by ours.
    pub(crate) fn speedup(
        name: &'static str,
        goal: Goal,
        (ours, reference): (f64, f64),
        unit: &'static str,
    ) -> Self {
        Self::compared(name, goal, reference / ours, (ours, reference), unit)
    }

    fn compared(
        name: &'static str,
        goal: Goal,
        value: f64,
        (ours, reference): (f64, f64),
        unit: &'static str,
    ) -> Self {
        let value = round(value);
        let (ours, reference) = (round(ours), Some(round(reference)));
        Self { name, value, goal, ours, reference, unit, ok: goal.is_reached(value) }
    }

    pub(crate) fn amount(name: &'static str, goal: Goal, ours: f64, unit: &'static str) -> Self {
        let value = round(ours);
        Self { name, value, goal, ours: value, reference: None, unit, ok: goal.is_reached(value) }
    }
}

/// Rounds to three decimal places.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
