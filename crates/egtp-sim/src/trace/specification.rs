//! The normative statements of `docs/spec.md`.
//!
//! A statement begins a line with its id in bold, `**W-3**`, says MUST, and ends at the next
//! statement, heading or blank line. Invariant: every MUST belongs to exactly one id.

use std::collections::BTreeMap;

use super::{Id, Problem};

/// One normative statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// The line, counted from 1, on which it begins.
    pub line: usize,
    /// Its words, without the id.
    pub text: String,
}

/// All statements of the specification, and what is wrong with how they are written.
#[derive(Clone, Debug, Default)]
pub struct Specification {
    /// The statements by id.
    pub statements: BTreeMap<Id, Statement>,
    /// Ids used twice, statements without MUST, MUSTs without an id.
    pub problems: Vec<Problem>,
}

impl Specification {
    /// Reads the Markdown text of the specification.
    pub fn read(markdown: &str) -> Self {
        let mut specification = Self::default();
        let mut current: Option<(Id, Statement)> = None;
        let mut inside_code = false;
        for (index, line) in markdown.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                inside_code = !inside_code;
                specification.close(current.take());
            } else if inside_code {
                // Code and byte layouts are examples: what is demanded is said in words.
            } else if let Some((id, text)) = beginning(line) {
                specification.close(current.take());
                current = Some((id, Statement { line: index + 1, text: text.to_owned() }));
            } else if line.trim().is_empty() || line.starts_with('#') {
                specification.close(current.take());
            } else if let Some((_, statement)) = &mut current {
                statement.text.push(' ');
                statement.text.push_str(line.trim());
            } else if demands(line) {
                specification.problems.push(Problem::MustWithoutId { line: index + 1 });
            }
        }
        specification.close(current);
        specification
    }

    fn close(&mut self, finished: Option<(Id, Statement)>) {
        let Some((id, statement)) = finished else { return };
        if !demands(&statement.text) {
            self.problems.push(Problem::StatementWithoutMust { id: id.clone() });
        }
        if let Some(first) = self.statements.get(&id) {
            self.problems.push(Problem::IdUsedTwice { id, lines: [first.line, statement.line] });
        } else {
            self.statements.insert(id, statement);
        }
    }
}

/// The id and the rest of a line that begins a statement; a list mark may precede it.
fn beginning(line: &str) -> Option<(Id, &str)> {
    let line = line.trim_start();
    let line = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")).unwrap_or(line);
    let (id, rest) = line.strip_prefix("**")?.split_once("**")?;
    let id = id.parse::<Id>().ok()?;
    FAMILIES.contains(&id.family()).then(|| (id, rest.trim()))
}

/// Whether the text says MUST; where the word itself is quoted, it is only spoken about.
fn demands(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"\"`“”".contains(c));
    words.any(|word| word == "MUST")
}

/// Wire, handshake, session, exchange, message, path, identity, letter.
const FAMILIES: &[&str] = &["W", "H", "S", "X", "M", "P", "I", "L"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_goes_on_to_the_blank_line() {
        let text = "# Wire\n\n**W-1** A number\nMUST be short.\n\n- **W-2** It MUST be\n- **W-3** It MUST.\n";
        let specification = Specification::read(text);
        assert!(specification.problems.is_empty(), "{:?}", specification.problems);
        let lines = specification.statements.values().map(|one| one.line).collect::<Vec<_>>();
        assert_eq!(lines, [3, 6, 7]);
        let first = specification.statements.values().next().unwrap();
        assert_eq!(first.text, "A number MUST be short.");
    }

    #[test]
    fn a_must_without_an_id_is_a_problem() {
        let specification = Specification::read("The word \"MUST\" demands.\n\nNobody MUST go.\n");
        assert_eq!(specification.problems, [Problem::MustWithoutId { line: 3 }]);
    }

    #[test]
    fn an_id_without_a_must_and_an_id_used_twice_are_problems() {
        let specification = Specification::read("**W-1** may.\n\n**W-2** MUST\n\n**W-2** MUST\n");
        let id = |text: &str| text.parse::<Id>().unwrap();
        let expected = [
            Problem::StatementWithoutMust { id: id("W-1") },
            Problem::IdUsedTwice { id: id("W-2"), lines: [3, 5] },
        ];
        assert_eq!(specification.problems, expected);
    }
}
