//! Options that no system could use, found before anything is started.

use super::ServerOptions;
use crate::engine::above_zero;
use crate::error::{Error, ErrorKind};

/// Names the option that cannot be used. A value of the environment may be a secret, and is not shown.
pub(super) fn check(options: &ServerOptions) -> Result<(), Error> {
    if options.command.is_empty() {
        return refused("command: expected a program and its arguments, got nothing");
    }
    if options.command[0].starts_with('-') {
        // The shell that runs it would take it for an option of its own.
        let message = format!("command[0]: expected a program, got {:?}", options.command[0]);
        return refused(message);
    }
    for (index, part) in options.command.iter().enumerate() {
        if part.contains('\0') {
            let message =
                format!("command[{index}]: expected text without a NUL character, got {part:?}");
            return refused(message);
        }
    }
    for (name, value) in &options.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("env: expected names without = or NUL, got {name:?}");
            return refused(message);
        }
        if value.contains('\0') {
            return refused(format!("env.{name}: expected text without a NUL character, got one"));
        }
    }
    above_zero("ready_timeout", options.ready_timeout).map(drop)
}

fn refused(message: impl Into<String>) -> Result<(), Error> {
    Err(Error::new(ErrorKind::InvalidOption, message))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ServerOptions, check};

    #[test]
    fn what_no_system_could_use_is_named() {
        let command = |parts: &[&str]| ServerOptions {
            command: parts.iter().map(|part| (*part).to_owned()).collect(),
            ..ServerOptions::default()
        };
        let env = |name: &str, value: &str| ServerOptions {
            env: vec![(name.to_owned(), value.to_owned())],
            ..ServerOptions::default()
        };
        for (options, wrong) in [
            (command(&[]), "command: expected a program and its arguments, got nothing"),
            (
                command(&["letta", "a\0b"]),
                r#"command[1]: expected text without a NUL character, got "a\0b""#,
            ),
            (command(&["-c", "x"]), r#"command[0]: expected a program, got "-c""#),
            (env("", "x"), r#"env: expected names without = or NUL, got """#),
            (env("A=B", "x"), r#"env: expected names without = or NUL, got "A=B""#),
            (env("A\0", "x"), r#"env: expected names without = or NUL, got "A\0""#),
            (env("KEY", "secret\0"), "env.KEY: expected text without a NUL character, got one"),
        ] {
            assert_eq!(check(&options).unwrap_err().message(), wrong);
        }
        assert!(check(&env("KEY", "a=b\n")).is_ok());
        let hasty = ServerOptions { ready_timeout: Duration::ZERO, ..ServerOptions::default() };
        let wrong = "ready_timeout: expected a time above zero, got 0";
        assert_eq!(check(&hasty).unwrap_err().message(), wrong);
    }
}
