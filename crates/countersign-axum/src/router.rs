//! The endpoints as routes.

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use countersign_http::Web;

use crate::detach::Detach;

/// Routes for all endpoints of a [`Web`], under its base path, to merge into your own router.
///
/// A [`Web`] for browsers and one for mobile applications go into the same application at two base
/// paths. A [`Web`] without a base path takes every path that no other route has, and so replaces
/// your fallback: give it a base path.
///
/// Merge the router and do not nest it: the base path is part of what the [`Web`] compares.
///
/// Each request runs in a task of its own: see [`Detach`].
///
/// ```
/// use axum::Router;
/// use countersign_axum::{Detach, router};
/// use countersign_http::Web;
///
/// fn app(browsers: &Web, mobile_apps: &Web, detach: &Detach) -> Router {
///     Router::new().merge(router(browsers, detach)).merge(router(mobile_apps, detach))
/// }
/// ```
pub fn router<S: Clone + Send + Sync + 'static>(web: &Web, detach: &Detach) -> Router<S> {
    let base = web.base_path();
    let answering = web.clone();
    let endpoints = any(move |request: Request| {
        let web = answering.clone();
        async move { web.handle(request).await }
    })
    .layer(detach.clone());
    let router = Router::new().route(&format!("{base}/{{*path}}"), endpoints.clone());
    if base.is_empty() {
        return router;
    }
    router.route(base, endpoints.clone()).route(&format!("{base}/"), endpoints)
}
