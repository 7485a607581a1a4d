//! Ids in paths: percent-decoded, so that `account/profile` travels as `account%2Fprofile`, and checked.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::problem::Problem;
use crate::progress::{ProfileId, TitleId};

/// The profile in a path.
pub(super) struct ProfilePath(pub(super) ProfileId);

/// The profile and the title in a path.
pub(super) struct TitlePath(pub(super) ProfileId, pub(super) TitleId);

pub(super) fn bad_path(rejection: &PathRejection) -> Problem {
    Problem::BadPath { reason: rejection.body_text() }
}

fn profile(text: &str) -> Result<ProfileId, Problem> {
    ProfileId::new(text).map_err(|source| Problem::BadId { field: "profile_id", source })
}

impl<S: Send + Sync> FromRequestParts<S> for ProfilePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|rejection| bad_path(&rejection))?;
        Ok(Self(profile(&text)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TitlePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((first, second)) =
            Path::<(String, String)>::from_request_parts(parts, state).await.map_err(|rejection| bad_path(&rejection))?;
        let title = TitleId::new(second).map_err(|source| Problem::BadId { field: "title_id", source })?;
        Ok(Self(profile(&first)?, title))
    }
}
