//! I-02: a token of one kind is not given for another.
use countersign::{Code, DeviceToken, LoginFlow, TenantId, TrustDevice};

async fn second_step(flow: &LoginFlow, tenant: &TenantId, token: &DeviceToken, code: &Code) {
    let _ = flow.submit_code(tenant, token, code, TrustDevice::No).await;
}

fn main() {}
