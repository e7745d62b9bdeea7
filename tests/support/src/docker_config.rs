//! The Docker client's own credentials file.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

/// Writes `folder/config.json`, in which a Docker client finds these credentials for the registry
/// at `host` (`host:port`). The folder is created if missing, a file already there is replaced.
pub fn write_docker_config(folder: &Path, host: &str, user: &str, password: &str) {
    let auth = basic_credentials(user, password);
    let config = json!({ "auths": { host: { "auth": auth } } });
    fs::create_dir_all(folder).expect("the configuration folder can be made");
    fs::write(folder.join("config.json"), config.to_string()).expect("config.json can be written");
}

/// `user:password` in base64, as HTTP Basic and the config file have it.
pub(crate) fn basic_credentials(user: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("{user}:{password}"))
}
