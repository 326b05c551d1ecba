//! [`Expr`] → text that reads as the same expression.

use super::{Comparison, Expr, Value};
use std::fmt;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "==",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Value(value) => f.write_str(&written(value)),
            Expr::Name(name, _) => f.write_str(name),
            Expr::Not(inner) => match &**inner {
                Expr::In(inner, list) => write!(f, "{} not in {}", term(inner), listed(list)),
                inner => write!(f, "not {}", term(inner)),
            },
            Expr::And(parts) => f.write_str(&joined(parts, " and ", |part| matches!(part, Expr::And(_) | Expr::Or(_)))),
            Expr::Or(parts) => f.write_str(&joined(parts, " or ", |part| matches!(part, Expr::Or(_)))),
            Expr::Compare(a, comparison, b) => write!(f, "{} {comparison} {}", term(a), term(b)),
            Expr::Starts(text, start) => write!(f, "{} starts {}", term(text), term(start)),
            Expr::In(inner, list) => write!(f, "{} in {}", term(inner), listed(list)),
            Expr::Length(inner) => write!(f, "length({})", term(inner)),
        }
    }
}

/// A text has no quote of the kind that it stands between.
fn written(value: &Value) -> String {
    match value {
        Value::Text(text) if text.contains('"') => format!("'{text}'"),
        Value::Text(text) => format!("\"{text}\""),
        value => value.to_string(),
    }
}

fn term(expr: &Expr) -> String {
    match expr {
        Expr::Value(_) | Expr::Name(..) | Expr::Length(_) => expr.to_string(),
        _ => format!("({expr})"),
    }
}

fn listed(values: &[Value]) -> String {
    format!("[{}]", values.iter().map(written).collect::<Vec<_>>().join(", "))
}

fn joined(parts: &[Expr], word: &str, apart: fn(&Expr) -> bool) -> String {
    let part = |part: &Expr| if apart(part) { format!("({part})") } else { part.to_string() };
    parts.iter().map(part).collect::<Vec<_>>().join(word)
}
