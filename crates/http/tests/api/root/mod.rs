//! The root path, where browsers come in: an address that signs them in, or the dashboard.

#[cfg(not(feature = "dashboard"))]
mod sign_in;

#[cfg(feature = "dashboard")]
mod dashboard;
