//! I-02: a token of one kind is not given for another.
use countersign::{Code, DeviceToken, RequestFlow, TrustDevice};

async fn second_step(request: &RequestFlow, token: &DeviceToken, code: &Code) {
    let _ = request.submit_code(token, code, TrustDevice::No).await;
}

fn main() {}
