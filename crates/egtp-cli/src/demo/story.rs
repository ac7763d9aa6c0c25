//! How the demonstration is told: steps, and what was observed in each.
//!
//! Knows nothing of nodes. Invariant: a fact that is not as it should be is marked where it is
//! told, and the story then ends as a failure.

use std::fmt;

use serde_json::Value;

use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::Output;

/// Something that was observed.
#[derive(Debug)]
pub(super) struct Fact {
    name: &'static str,
    number: Value,
    what: String,
    held: bool,
}

impl Fact {
    /// A number under its name in JSON, the sentence for people, and whether it is as it should be.
    pub(super) fn new(
        name: &'static str,
        number: impl Into<Value>,
        what: impl Into<String>,
        held: bool,
    ) -> Self {
        Self { name, number: number.into(), what: what.into(), held }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.held { "-" } else { "NOT AS IT SHOULD BE:" };
        write!(f, "   {mark} {}", self.what)
    }
}

/// The steps so far.
#[derive(Debug)]
pub(super) struct Story {
    output: Output,
    steps: u32,
    failed: u32,
}

impl Story {
    /// Begins with step 1.
    pub(super) const fn begin(output: Output) -> Self {
        Self { output, steps: 0, failed: 0 }
    }

    /// Tells one step.
    pub(super) fn tell(&mut self, what: &str, facts: &[Fact]) -> Result<(), Failure> {
        self.steps += 1;
        let held = facts.iter().all(|fact| fact.held);
        if !held {
            self.failed += 1;
        }
        let seen: Vec<Value> = facts
            .iter()
            .map(|fact| {
                Value::from(serde_json::Map::from_iter([
                    (fact.name.to_owned(), fact.number.clone()),
                    ("held".to_owned(), Value::from(fact.held)),
                    ("says".to_owned(), Value::from(fact.what.as_str())),
                ]))
            })
            .collect();
        let object = Object::new()
            .with("event", "step")
            .with("number", self.steps)
            .with("says", what)
            .with("facts", seen)
            .with("held", held);
        let lines: Vec<String> = facts.iter().map(ToString::to_string).collect();
        let text = format!("{}. {what}\n{}\n", self.steps, lines.join("\n"));
        self.output.data(&object, text)
    }

    /// Says whether all of it was as promised.
    ///
    /// # Errors
    /// [`Code::ClaimFailed`] if not.
    pub(super) fn end(self) -> Result<(), Failure> {
        if self.failed > 0 {
            let message =
                format_args!("{} of {} steps were not as promised", self.failed, self.steps);
            return Err(Failure::new(Code::ClaimFailed, message));
        }
        let object =
            Object::new().with("event", "end").with("steps", self.steps).with("held", true);
        let text = "Everything was as promised: each request was acted on at most once, whoever asked \
                    was told the truth, and a copy of the past did nothing.";
        self.output.data(&object, text)
    }
}
