//! What a model is told about a permission that nobody gave, in all three languages alike.

/// A rule of the program denies, without words of its own.
#[must_use]
pub fn denied_by_rule(tool: &str) -> String {
    format!("a rule of the policy denies {tool}")
}

/// The program has rules, and none of them is about this call.
#[must_use]
pub fn allowed_by_no_rule(tool: &str) -> String {
    format!("no rule of the policy allows {tool}")
}

/// Whoever was asked could not say it.
///
/// # Arguments
///
/// * `said` - What the exception, the error or the panic says.
#[must_use]
pub fn approver_failed(said: &str) -> String {
    format!("the approval handler failed: {said}")
}
