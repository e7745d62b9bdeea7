//! Specs and plans at rest: sealed, because a literal environment value or an argument may be a secret in spite of all advice.

use std::fmt;

use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use rusqlite::{Connection, OptionalExtension};
use shipslog_core::deploys::Plan;
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::store::StoreError;
use shipslog_core::workloads::Spec;

use super::error::Failure;

/// Bytes of a key file.
pub(super) const KEY_LENGTH: usize = 32;

const NONCE_LENGTH: usize = 24;
const CHECK_TEXT: &[u8] = b"shipslog";
const CHECK_PLACE: &[u8] = b"seal_check";

/// Seals and opens what must not be readable in the database file.
pub(super) struct Seal {
    key: Key,
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// With a fresh random key.
    pub(super) fn generate() -> Self {
        Self::with(Key::generate())
    }

    /// With the contents of a key file; `None` when that is not a key's length.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Key::try_from(bytes).ok().map(Self::with)
    }

    fn with(key: Key) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(&key),
            key,
        }
    }

    /// What the key file holds.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// A random nonce, then the sealed text, which opens nowhere but at `place`.
    fn seal(&self, plain: &[u8], place: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = XNonce::generate();
        let payload = Payload {
            msg: plain,
            aad: place,
        };
        let sealed = self
            .cipher
            .encrypt(&nonce, payload)
            .map_err(|_| StoreError::Invalid { what: "sealed text" })?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, stored: &[u8], place: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = stored.split_at_checked(NONCE_LENGTH)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        self.cipher
            .decrypt(
                &nonce,
                Payload {
                    msg: sealed,
                    aad: place,
                },
            )
            .ok()
    }

    /// A spec as it is stored: bound to its workload and revision, so that rows cannot be exchanged.
    pub(super) fn seal_spec(
        &self,
        spec: &Spec,
        id: &WorkloadId,
        revision: u32,
    ) -> Result<Vec<u8>, StoreError> {
        let plain = serde_json::to_vec(spec).map_err(|_| StoreError::Invalid { what: "spec" })?;
        self.seal(&plain, &place(id, revision))
    }

    /// The spec that was stored for this workload and revision.
    pub(super) fn open_spec(
        &self,
        stored: &[u8],
        id: &WorkloadId,
        revision: u32,
    ) -> Result<Spec, StoreError> {
        let plain = self
            .open(stored, &place(id, revision))
            .ok_or(StoreError::Invalid { what: "spec" })?;
        serde_json::from_slice(&plain).map_err(|_| StoreError::Invalid { what: "spec" })
    }

    /// A plan as it is stored: bound to its deploy.
    pub(super) fn seal_plan(&self, plan: &Plan, deploy: &DeployId) -> Result<Vec<u8>, StoreError> {
        self.seal(plan.as_str().as_bytes(), &plan_place(deploy))
    }

    /// The plan that was stored for this deploy.
    pub(super) fn open_plan(&self, stored: &[u8], deploy: &DeployId) -> Result<Plan, StoreError> {
        let plain = self.open(stored, &plan_place(deploy));
        let text = plain.and_then(|plain| String::from_utf8(plain).ok());
        text.map(Plan::new).ok_or(StoreError::Invalid { what: "plan" })
    }

    /// Writes the row by which a later open knows this key again.
    pub(super) fn write_check(&self, connection: &Connection) -> Result<(), Failure> {
        let sealed = self.seal(CHECK_TEXT, CHECK_PLACE)?;
        connection.execute("INSERT INTO seal_check (only, sealed) VALUES (1, ?1)", [sealed])?;
        Ok(())
    }

    /// Whether the database was made with this key.
    pub(super) fn fits(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let select = "SELECT sealed FROM seal_check";
        let stored: Option<Vec<u8>> = connection.query_row(select, [], |row| row.get(0)).optional()?;
        Ok(stored.is_some_and(|sealed| self.open(&sealed, CHECK_PLACE).as_deref() == Some(CHECK_TEXT)))
    }
}

fn place(id: &WorkloadId, revision: u32) -> Vec<u8> {
    // An id holds no slash, so no two places read the same.
    format!("{id}/{revision}").into_bytes()
}

fn plan_place(deploy: &DeployId) -> Vec<u8> {
    // A revision is a number, so this is no spec's place.
    format!("{deploy}/plan").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_with_its_key_at_its_place_and_nowhere_else() {
        let seal = Seal::generate();
        let sealed = seal.seal(b"hunter2", b"w/1").unwrap();
        assert_eq!(seal.open(&sealed, b"w/1").as_deref(), Some(&b"hunter2"[..]));
        assert_eq!(seal.open(&sealed, b"w/2"), None);
        assert_eq!(Seal::generate().open(&sealed, b"w/1"), None);
        assert_eq!(seal.open(&sealed[..10], b"w/1"), None);
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let seal = Seal::generate();
        assert_ne!(seal.seal(b"x", b"w/1").unwrap(), seal.seal(b"x", b"w/1").unwrap());
    }

    #[test]
    fn a_key_file_gives_the_same_seal_back() {
        let seal = Seal::generate();
        let again = Seal::from_bytes(seal.key()).unwrap();
        assert_eq!(
            again.open(&seal.seal(b"x", b"w/1").unwrap(), b"w/1").as_deref(),
            Some(&b"x"[..])
        );
        assert!(Seal::from_bytes(&[0; KEY_LENGTH - 1]).is_none());
        assert_eq!(format!("{seal:?}"), "Seal");
    }
}
