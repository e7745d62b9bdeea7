//! Saying once that something stopped working, and once that it works again.

use std::error::Error;
use std::mem::{self, Discriminant};

use super::TickError;

/// What the last attempt failed with, if it did, and what the log says when that changes.
#[derive(Debug)]
pub(super) struct Loss {
    cause: Option<Discriminant<TickError>>,
    gone: &'static str,
    back: &'static str,
}

impl Loss {
    pub(super) fn new(gone: &'static str, back: &'static str) -> Self {
        Self {
            cause: None,
            gone,
            back,
        }
    }

    pub(super) fn note(&mut self, failure: Option<TickError>) {
        let cause = failure.as_ref().map(mem::discriminant);
        if cause == self.cause {
            return;
        }
        self.cause = cause;
        match &failure {
            None => tracing::info!("{}", self.back),
            Some(failure) => tracing::warn!(error = failure as &dyn Error, "{}", self.gone),
        }
    }
}
