//! What the program's exit code says to a script.

use std::process::ExitCode;

/// How a command ended. The numbers are part of the interface: 69, 70 and 78 are those of
/// `sysexits.h`, 2 is what clap uses for a wrong command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Ok = 0,
    /// It worked, and found something: findings of a scan, or a failed test.
    Findings = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Something it depends on cannot be reached: a broker, ClickHouse, an input file.
    Unavailable = 69,
    /// A fault of Plimsoll itself.
    Internal = 70,
    /// The configuration is wrong.
    Configuration = 78,
}

impl Exit {
    /// All codes, in ascending order.
    pub const ALL: [Exit; 6] = [
        Exit::Ok,
        Exit::Findings,
        Exit::Usage,
        Exit::Unavailable,
        Exit::Internal,
        Exit::Configuration,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What the code means, as the help text says it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Findings => "findings, or a failed test",
            Exit::Usage => "wrong command line",
            Exit::Unavailable => "a dependency is unavailable",
            Exit::Internal => "internal error",
            Exit::Configuration => "wrong configuration",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 69, 70, 78]);
    }
}
