//! Everything a person needs on a laptop to see the server at work: a sample API and a sample page.
//!
//! Never part of the server or its image.

pub mod page;
pub mod sample_api;
