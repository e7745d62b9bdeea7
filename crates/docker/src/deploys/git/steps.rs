//! How far a build has come.

use shipslog_core::deploys::DeployStep;

/// The steps that a builder has named so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Steps {
    /// Which one is at work, counted from 1; 0 before the first.
    current: u32,
    total: u32,
    is_base: bool,
    /// The short name of the image, once the last step is done.
    made: Option<String>,
}

impl Steps {
    /// Takes in a line of the builder, and answers whether a step began. Programs that the build runs write there, too: only the step that is
    /// due next counts.
    pub(super) fn note(&mut self, line: &str) -> bool {
        if self.current == self.total
            && let Some(image) = line.strip_prefix("Successfully built ")
        {
            self.made = Some(image.trim().to_owned());
        }
        let Some((current, total, instruction)) = parse(line) else {
            return false;
        };
        let is_due =
            current == self.current + 1 && current <= total && (self.total == 0 || self.total == total);
        if is_due {
            let is_base = instruction
                .trim_start()
                .get(..5)
                .is_some_and(|word| word.eq_ignore_ascii_case("from "));
            *self = Self {
                current,
                total,
                is_base,
                made: None,
            };
        }
        is_due
    }

    /// Whether a base image is fetched now.
    pub(super) fn is_at_base(&self) -> bool {
        self.is_base
    }

    /// Whether the first has begun: until then the builder reads the Dockerfile.
    pub(super) fn has_begun(&self) -> bool {
        self.current > 0
    }

    /// Whether the builder came to its end, and made this image.
    pub(super) fn made(&self, image: &str) -> bool {
        let short = image.strip_prefix("sha256:").unwrap_or(image);
        self.made
            .as_ref()
            .is_some_and(|made| !made.is_empty() && short.starts_with(made.as_str()))
    }

    pub(super) fn step(&self) -> DeployStep {
        DeployStep::Building {
            steps_done: self.current.saturating_sub(1),
            steps_total: self.total,
        }
    }

    /// With all of it done.
    pub(super) fn last(&self) -> DeployStep {
        DeployStep::Building {
            steps_done: self.total,
            steps_total: self.total,
        }
    }
}

impl std::fmt::Display for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "step {} of {}", self.current, self.total)
    }
}

/// `Step 2/5 : RUN make`
fn parse(line: &str) -> Option<(u32, u32, &str)> {
    let (count, instruction) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (current, total) = count.split_once('/')?;
    Some((current.parse().ok()?, total.parse().ok()?, instruction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_step_that_is_due_counts() {
        let mut steps = Steps::default();
        assert!(!steps.note("Step 2/3 : RUN x") && !steps.has_begun());
        assert!(steps.note("Step 1/3 : FROM scratch") && steps.is_at_base());
        assert!(!steps.note("Step 1/3 : FROM scratch"));
        assert!(
            !steps.note(" ---> Running in 1") && !steps.note("Step 3/3 : x") && !steps.note("Step 2/9 : x")
        );
        assert!(steps.note("Step 2/3 : RUN x") && !steps.is_at_base());
        let building = |steps_done| DeployStep::Building {
            steps_done,
            steps_total: 3,
        };
        assert_eq!((steps.step(), steps.last()), (building(1), building(3)));
        assert_eq!(steps.to_string(), "step 2 of 3");
    }

    #[test]
    fn an_image_is_made_at_the_end_alone() {
        let (stage, whole) = ("sha256:aaaaaaaaaaaa00", "sha256:bbbbbbbbbbbb00");
        let mut steps = Steps::default();
        for line in [
            "Step 1/2 : FROM a AS b",
            "Successfully built aaaaaaaaaaaa\n",
            "Step 2/2 : FROM a",
        ] {
            assert!(!steps.made(stage));
            steps.note(line);
        }
        assert!(!steps.made(stage) && !steps.made(whole));
        steps.note("Successfully built bbbbbbbbbbbb\n");
        assert!(!steps.made(stage) && steps.made(whole));
    }
}
