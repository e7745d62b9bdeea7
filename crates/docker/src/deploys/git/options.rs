//! What a spec says beside the reference.

use std::collections::HashSet;

use serde::Deserialize;
use shipslog_core::deploys::{DispatchError, FailureMarker};
use shipslog_core::secret::{Secret, SecretRef, SecretSource};
use shipslog_core::workloads::{EnvVar, FieldError, Spec};

use super::recipe::DEFAULT_DOCKERFILE;
use crate::deploys::repository::{Access, RepositoryUrl, is_inner_path};

/// A build argument with its value read.
pub(super) type BuildArg = (String, Secret<String>);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GitOptions {
    dockerfile: Option<String>,
    build_args: Vec<EnvVar>,
    token: Option<SecretRef>,
    user: Option<String>,
}

impl GitOptions {
    /// Those of a spec that was checked.
    pub(super) fn of(spec: &Spec) -> Result<Self, DispatchError> {
        let read: Result<Self, FieldError> = spec.source.options.read();
        read.map_err(|error| DispatchError::new(FailureMarker::Internal, error.to_string()))
    }

    /// The path of the Dockerfile in the folder that is built.
    pub(super) fn dockerfile(&self) -> &str {
        self.dockerfile.as_deref().unwrap_or(DEFAULT_DOCKERFILE)
    }

    pub(super) fn check(&self) -> Result<(), FieldError> {
        if !is_inner_path(self.dockerfile()) {
            let message = "must be a path inside of the repository, without .. and not beginning with /";
            return Err(FieldError::new("source.options.dockerfile", message));
        }
        let mut seen = HashSet::new();
        for (i, arg) in self.build_args.iter().enumerate() {
            check_arg(&format!("source.options.build_args[{i}]"), arg)?;
            if !seen.insert(&arg.name) {
                let field = format!("source.options.build_args[{i}].name");
                return Err(FieldError::new(field, "must not be given twice"));
            }
        }
        self.check_user()
    }

    fn check_user(&self) -> Result<(), FieldError> {
        let sign = |b: u8| b.is_ascii_graphic() && b != b':';
        let is_user = |user: &String| (1..=255).contains(&user.len()) && user.bytes().all(sign);
        let message = match &self.user {
            Some(_) if self.token.is_none() => "goes with a token, and there is none",
            Some(user) if !is_user(user) => "must be 1 to 255 printable characters without spaces and colons",
            _ => return Ok(()),
        };
        Err(FieldError::new("source.options.user", message))
    }

    /// What is shown to the server of `url`, if these are the options of `spec`.
    pub(super) async fn access(
        &self,
        spec: &Spec,
        secrets: &dyn SecretSource,
        url: &RepositoryUrl,
    ) -> Result<Access, DispatchError> {
        let beside = &spec.source.reference;
        Access::read(secrets, url, beside, self.token.as_ref(), self.user.as_deref()).await
    }

    /// The build arguments, with secrets read now.
    pub(super) async fn build_args(
        &self,
        secrets: &dyn SecretSource,
    ) -> Result<Vec<BuildArg>, DispatchError> {
        let mut args = Vec::with_capacity(self.build_args.len());
        for arg in &self.build_args {
            let value = match (&arg.secret, &arg.value) {
                (Some(reference), _) => secrets.read(reference).await.map_err(|_| missing(&arg.name))?,
                (None, Some(value)) => Secret::new(value.as_str().to_owned()),
                (None, None) => Secret::new(String::new()),
            };
            args.push((arg.name.clone(), value));
        }
        Ok(args)
    }
}

fn missing(name: &str) -> DispatchError {
    DispatchError::new(FailureMarker::SecretMissing, format!("build argument {name}"))
}

fn check_arg(field: &str, arg: &EnvVar) -> Result<(), FieldError> {
    let sign = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let starts_ok = arg.name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if !starts_ok || arg.name.len() > 255 || !arg.name.bytes().all(sign) {
        let message = "must be 1 to 255 letters, digits and _, not beginning with a digit";
        return Err(FieldError::new(format!("{field}.name"), message));
    }
    if arg.value.is_some() == arg.secret.is_some() {
        return Err(FieldError::new(field, "must have either value or secret"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(options: Value) -> Result<(), FieldError> {
        let spec: Spec = serde_json::from_value(json!({
            "name": "a", "source": {"kind": "git", "reference": "https://host/a", "options": options}
        }))
        .unwrap();
        spec.source.options.read::<GitOptions>()?.check()
    }

    #[test]
    fn what_a_spec_may_say_is_taken() {
        for good in [
            json!({}),
            json!({"dockerfile": "docker/Dockerfile.web"}),
            json!({"token": "env:T"}),
            json!({"token": "file:/run/t", "user": "oauth2"}),
            json!({"build_args": [{"name": "V", "value": ""}, {"name": "T", "secret": "env:T"}]}),
        ] {
            assert_eq!(checked(good.clone()), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_not_quoted() {
        let arg = |arg: Value| json!({"build_args": [{"name": "A", "value": "x"}, arg]});
        for (field, bad) in [
            ("source.options.dockerfile", json!({"dockerfile": "../SECRET"})),
            (
                "source.options.dockerfile",
                json!({"dockerfile": "a/../../SECRET"}),
            ),
            ("source.options.dockerfile", json!({"dockerfile": "/etc/SECRET"})),
            ("source.options.dockerfile", json!({"dockerfile": ""})),
            ("source.options.token", json!({"token": "SECRET"})),
            ("source.options.user", json!({"user": "SECRET"})),
            (
                "source.options.user",
                json!({"token": "env:T", "user": "a:SECRET"}),
            ),
            ("source.options.passwort", json!({"passwort": "SECRET"})),
            (
                "source.options.build_args[1].name",
                arg(json!({"name": "SECRET=1", "value": "x"})),
            ),
            (
                "source.options.build_args[1].name",
                arg(json!({"name": "A", "value": "SECRET"})),
            ),
            ("source.options.build_args[1]", arg(json!({"name": "B"}))),
            (
                "source.options.build_args[1]",
                arg(json!({"name": "B", "value": "SECRET", "secret": "env:T"})),
            ),
            (
                "source.options.build_args[1].secret",
                arg(json!({"name": "B", "secret": "SECRET"})),
            ),
        ] {
            let error = checked(bad.clone()).expect_err(field);
            assert_eq!(error.field, field, "{bad}");
            assert!(!error.message.contains("SECRET"), "{error}");
        }
    }
}
