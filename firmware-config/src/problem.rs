//! What is wrong in a site file, as a person wants to read it.

use std::fmt;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing starts.
    Error,
    /// It runs, but probably not as wished.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The site file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Dotted path of the field, such as `sensor[2].address`; empty where it concerns the whole file.
    pub field: String,
    /// What is wrong, what came, what is allowed.
    pub message: String,
    /// The line of the file with a caret under the place.
    pub excerpt: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, file, line, column, message, excerpt, .. } = self;
        write!(f, "{file}:{line}:{column}: {severity}: {message}\n{excerpt}")
    }
}

/// Every problem of a site file, in the order of its lines. At least one is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}\n")?;
        }
        let errors = self.0.iter().filter(|problem| problem.severity == Severity::Error).count();
        let file = self.0.first().map_or("", |problem| problem.file.as_str());
        write!(f, "{file}: {}", count(errors, "error"))?;
        match self.0.len() - errors {
            0 => Ok(()),
            warnings => write!(f, ", {}", count(warnings, "warning")),
        }
    }
}

impl std::error::Error for Problems {}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
