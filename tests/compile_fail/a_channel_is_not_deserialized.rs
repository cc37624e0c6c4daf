//! I-35: a request does not name its own channel.

fn main() {
    let _channel: countersign::Channel = serde_json::from_str("\"api\"").unwrap();
}
