//! Which git this machine has.

use shipslog_core::deploys::Readiness;

use super::Repositories;
use super::command::Fault;

/// The first version that takes all of its settings from its environment.
const OLDEST: (u32, u32) = (2, 32);

impl Repositories {
    /// The git of this machine, and what there is to do where it is missing or too old.
    pub(in crate::deploys) async fn readiness(&self) -> Readiness {
        let asked = self.git.bare().args(["version"]).run().await;
        judge(asked.as_deref())
    }
}

fn judge(asked: Result<&str, &Fault>) -> Readiness {
    let version = asked
        .ok()
        .and_then(|said| said.trim().strip_prefix("git version "));
    let Some(version) = version.and_then(|rest| rest.split_whitespace().next()) else {
        return lacking(
            "Git is not installed on this machine. Install it, for example with: apt-get install git",
        );
    };
    match numbers(version) {
        Some(known) if known >= OLDEST => Readiness {
            uses: vec![format!("git {version}")],
            missing: Vec::new(),
        },
        _ => lacking("The git of this machine is too old. Install version 2.32 or later."),
    }
}

fn lacking(what: &str) -> Readiness {
    Readiness {
        uses: Vec::new(),
        missing: vec![what.to_owned()],
    }
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::super::child::Unended;
    use super::*;

    #[test]
    fn a_git_that_is_missing_or_too_old_is_said_so() {
        for good in [
            "git version 2.47.3\n",
            "git version 2.39.5 (Apple Git-154)",
            "git version 3.0.0",
        ] {
            let found = judge(Ok(good));
            assert!(
                found.missing.is_empty() && found.uses[0].starts_with("git "),
                "{found:?}"
            );
        }
        for bad in ["git version 2.20.1", "git version x", "no git at all", ""] {
            assert_eq!(judge(Ok(bad)).missing.len(), 1, "{bad}");
        }
        let absent = judge(Err(&Fault::Unended(Unended::NotRun(
            std::io::ErrorKind::NotFound,
        ))));
        assert!(absent.missing[0].contains("apt-get install git"));
    }
}
