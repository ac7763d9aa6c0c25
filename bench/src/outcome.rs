//! What everything that can fail returns here: a value, or a reason to print.

pub type Fault = Box<dyn std::error::Error + Send + Sync>;
pub type Outcome<T> = Result<T, Fault>;
