//! How a counterexample is told to people.

use std::fmt;

use stateright::Model;

/// What happened, one sentence a step.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Story {
    sentences: Vec<String>,
}

impl Story {
    /// Adds what happened next.
    pub fn add(&mut self, sentence: String) {
        self.sentences.push(sentence);
    }

    /// How many steps it takes.
    pub fn steps(&self) -> usize {
        self.sentences.len()
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, sentence) in self.sentences.iter().enumerate() {
            writeln!(f, "    {:>2}. {sentence}", number + 1)?;
        }
        Ok(())
    }
}

/// A model whose steps can be told.
pub trait Tells: Model {
    /// What a step does, in the state before it.
    fn sentence(&self, state: &Self::State, action: &Self::Action) -> String;
}
