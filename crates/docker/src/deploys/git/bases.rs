//! Which images a Dockerfile builds upon.

use std::collections::{HashMap, HashSet};

use super::options::BuildArg;
use crate::deploys::reference::ImageReference;

/// The images that are pulled for a Dockerfile, so far as can be told without building it: for credentials, which are given for no others.
pub(super) fn bases(dockerfile: &str, args: &[BuildArg]) -> Vec<ImageReference> {
    let given: HashMap<&str, &str> = args
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose().as_str()))
        .collect();
    let (mut known, mut stages, mut images) = (HashMap::new(), HashSet::new(), Vec::new());
    for line in instructions(dockerfile) {
        let mut words = line.split_whitespace();
        match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
            // Only those before the first stage count for the names of bases.
            "ARG" if stages.is_empty() && images.is_empty() => {
                words.for_each(|word| declare(word, &given, &mut known))
            }
            "FROM" => {
                let words: Vec<&str> = words.filter(|word| !word.starts_with("--")).collect();
                images.extend(words.first().map(|image| filled_in(image, &known)));
                stages.extend(words.get(2).map(|stage| stage.to_ascii_lowercase()));
            }
            "COPY" => images.extend(words.find_map(|word| word.strip_prefix("--from=").map(str::to_owned))),
            _ => {}
        }
    }
    let pulled = images
        .into_iter()
        .filter(|image| image != "scratch" && !stages.contains(&image.to_ascii_lowercase()));
    pulled
        .filter_map(|image| ImageReference::parse(&image).ok())
        .collect()
}

/// Lines without comments, with those joined that end in a backslash.
fn instructions(dockerfile: &str) -> Vec<String> {
    let (mut whole, mut begun) = (Vec::new(), String::new());
    for line in dockerfile
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
    {
        match line.strip_suffix('\\') {
            Some(part) => begun.push_str(part),
            None => whole.push(std::mem::take(&mut begun) + line),
        }
    }
    whole.push(begun);
    whole
}

fn declare(word: &str, given: &HashMap<&str, &str>, known: &mut HashMap<String, String>) {
    let (name, default) = word.split_once('=').unwrap_or((word, ""));
    let value = given
        .get(name)
        .copied()
        .unwrap_or(default.trim_matches(['"', '\'']));
    known.insert(name.to_owned(), value.to_owned());
}

/// With `$NAME` and `${NAME}` filled in; whatever else there is stays, and then names no image.
fn filled_in(image: &str, known: &HashMap<String, String>) -> String {
    let mut names: Vec<&String> = known.keys().collect();
    // The longest first: one name may begin with another.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.into_iter().fold(image.to_owned(), |image, name| {
        image
            .replace(&format!("${{{name}}}"), &known[name])
            .replace(&format!("${name}"), &known[name])
    })
}

#[cfg(test)]
mod tests {
    use shipslog_core::secret::Secret;

    use super::*;

    fn of(dockerfile: &str, args: &[(&str, &str)]) -> Vec<String> {
        let args: Vec<BuildArg> = args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned())))
            .collect();
        bases(dockerfile, &args).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_image_that_is_pulled_is_found_and_no_stage() {
        let dockerfile = "# FROM no/comment\nARG BASE=\"r.io/base\" TAG=1\nfrom --platform=linux/amd64 ${BASE}:$TAG as build\nARG TAG=9\nRUN echo \\\n FROM no/continuation\nFROM scratch\nCOPY --from=Build /a /a\nCOPY --from=o.io/tool:2 /b /b\nFROM build\n";
        assert_eq!(of(dockerfile, &[]), ["r.io/base:1", "o.io/tool:2"]);
        assert_eq!(of(dockerfile, &[("TAG", "2")])[0], "r.io/base:2");
    }

    #[test]
    fn what_cannot_be_told_is_left_to_the_engine() {
        assert!(
            of("FROM ${X:-a}\nFROM $UNKNOWN\nFROM\nARG\nCOPY --from=0 a b", &[])
                .iter()
                .all(|image| image == "docker.io/library/0:latest")
        );
        assert!(of("", &[]).is_empty());
    }
}
