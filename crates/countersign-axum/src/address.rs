//! The client's address, from its connection.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use countersign_http::ClientAddress;

/// Middleware that takes the client's address from the connection, for policies, events and
/// notices.
///
/// It puts a [`ClientAddress`] into the extensions of the request, unless there is one. Serve with
/// [`into_make_service_with_connect_info`]; without it, and on sockets without an address, nothing
/// is put there.
///
/// Not behind a proxy: the connection is the proxy's there. Put in what your own proxy says
/// instead. This function reads no header, because clients choose those.
///
/// ```
/// use axum::Router;
/// use axum::middleware::map_request;
///
/// let app: Router = Router::new().layer(map_request(countersign_axum::client_address));
/// ```
///
/// # Cancel safety
///
/// Nothing is changed but the request.
///
/// [`into_make_service_with_connect_info`]: axum::Router::into_make_service_with_connect_info
pub async fn client_address(request: Request) -> Request {
    let (mut parts, body) = request.into_parts();
    if parts.extensions.get::<ClientAddress>().is_none()
        && let Ok(ConnectInfo(client)) =
            ConnectInfo::<SocketAddr>::from_request_parts(&mut parts, &()).await
    {
        // A socket for both families has IPv4 clients as `::ffff:192.0.2.1`.
        parts.extensions.insert(ClientAddress(client.ip().to_canonical()));
    }
    Request::from_parts(parts, body)
}
