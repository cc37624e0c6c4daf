//! What the pages say, in English and Japanese.

use countersign::{DeliveryStatus, IssuedCode, Method, Scope};

use crate::texts::Language;

/// The fixed texts of all pages in one language.
pub(super) struct Words {
    pub(super) account: &'static str,
    pub(super) administrators_only: &'static str,
    pub(super) administrators_only_means: &'static str,
    pub(super) another_code: &'static str,
    pub(super) backup_code: &'static str,
    pub(super) backup_code_made: &'static str,
    pub(super) backup_code_none: &'static str,
    pub(super) backup_code_once: &'static str,
    pub(super) backup_code_title: &'static str,
    pub(super) backup_code_what: &'static str,
    pub(super) cancel: &'static str,
    pub(super) code: &'static str,
    pub(super) code_expired: &'static str,
    pub(super) code_title: &'static str,
    pub(super) codes: &'static str,
    pub(super) confirm: &'static str,
    pub(super) confirm_title: &'static str,
    pub(super) continue_on: &'static str,
    pub(super) current_setting: &'static str,
    pub(super) deleted: &'static str,
    pub(super) deletion: &'static str,
    pub(super) deletion_finished: &'static str,
    pub(super) deletion_started: &'static str,
    pub(super) device_expires: &'static str,
    pub(super) device_registered: &'static str,
    pub(super) device_remove: &'static str,
    pub(super) device_remove_all: &'static str,
    pub(super) device_used: &'static str,
    pub(super) devices: &'static str,
    pub(super) devices_none: &'static str,
    pub(super) edit: &'static str,
    pub(super) email: &'static str,
    pub(super) entire_tenant: &'static str,
    pub(super) entire_tenant_means: &'static str,
    pub(super) failed: &'static str,
    pub(super) find: &'static str,
    pub(super) foreign: &'static str,
    pub(super) foreign_host: &'static str,
    pub(super) how_codes_come: &'static str,
    pub(super) locked_until: &'static str,
    pub(super) locks: &'static str,
    pub(super) make_backup_code: &'static str,
    pub(super) malformed: &'static str,
    pub(super) name: &'static str,
    pub(super) no_such_page: &'static str,
    pub(super) not_registered: &'static str,
    pub(super) off: &'static str,
    pub(super) off_confirm: &'static str,
    pub(super) off_deletes: &'static str,
    pub(super) off_means: &'static str,
    pub(super) off_title: &'static str,
    pub(super) open: &'static str,
    pub(super) password: &'static str,
    pub(super) passwords: &'static str,
    pub(super) phone: &'static str,
    pub(super) phone_form: &'static str,
    pub(super) refresh: &'static str,
    pub(super) remaining: &'static str,
    pub(super) reset: &'static str,
    pub(super) reset_budgets_kept: &'static str,
    pub(super) reset_clears: &'static str,
    pub(super) reset_done: &'static str,
    pub(super) reset_title: &'static str,
    pub(super) save: &'static str,
    pub(super) second_factor: &'static str,
    pub(super) security: &'static str,
    pub(super) send_again: &'static str,
    pub(super) send_by_email: &'static str,
    pub(super) send_by_sms: &'static str,
    pub(super) sent_nowhere: &'static str,
    pub(super) sign_in: &'static str,
    pub(super) sign_in_again: &'static str,
    pub(super) sign_out: &'static str,
    pub(super) signed_in_without_session: &'static str,
    pub(super) suspended: &'static str,
    pub(super) too_large: &'static str,
    pub(super) trust: &'static str,
    pub(super) trust_means: &'static str,
    pub(super) unlock: &'static str,
    pub(super) unlock_done: &'static str,
    pub(super) use_backup_code: &'static str,
    pub(super) use_email: &'static str,
    pub(super) use_sms: &'static str,
    pub(super) user: &'static str,
    pub(super) users: &'static str,
    pub(super) who_needs: &'static str,
}

impl Words {
    pub(super) const fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Japanese => &JAPANESE,
        }
    }

    pub(super) const fn method(&self, method: Method) -> &'static str {
        match method {
            Method::Email => self.email,
            Method::Sms => self.phone,
        }
    }

    pub(super) const fn scope(&self, scope: Scope) -> &'static str {
        match scope {
            Scope::DoNotUse => self.off,
            Scope::EntireTenant => self.entire_tenant,
            Scope::SystemAdministratorsOnly => self.administrators_only,
        }
    }
}

static ENGLISH: Words = Words {
    account: "My information",
    administrators_only: "System administrators only",
    administrators_only_means: "Only the built-in system administrators are asked for a code. \
        Custom roles do not count.",
    another_code: "No code arrived?",
    backup_code: "Backup code",
    backup_code_made: "A backup code was made on",
    backup_code_none: "You have no backup code yet.",
    backup_code_once: "Write it down and keep it in a safe place. It is shown only now.",
    backup_code_title: "Your new backup code",
    backup_code_what: "A backup code signs you in when no code arrives. It works once, and you get \
        a new one each time you use it. A new one replaces the one before.",
    cancel: "Cancel",
    code: "Code",
    code_expired: "This code has expired. Ask for a new one.",
    code_title: "Enter the code",
    codes: "Codes",
    confirm: "Confirm",
    confirm_title: "Confirm the change",
    continue_on: "Continue",
    current_setting: "Current setting",
    deleted: "Deleted",
    deletion: "Deletion of saved data",
    deletion_finished: "Finished on",
    deletion_started: "Started on",
    device_expires: "Trusted until",
    device_registered: "Trusted since",
    device_remove: "Remove",
    device_remove_all: "Remove all",
    device_used: "Last used",
    devices: "Trusted devices",
    devices_none: "There are no trusted devices.",
    edit: "Edit",
    email: "Email",
    entire_tenant: "Entire tenant",
    entire_tenant_means: "Everyone who signs in on the web or in the mobile application is asked \
        for a code.",
    failed: "Something went wrong. Please try again later.",
    find: "Show",
    foreign: "This request came from another site, and was not carried out.",
    foreign_host: "In development, these pages are served to this machine only.",
    how_codes_come: "How you get codes",
    locked_until: "locked until",
    locks: "Locks",
    make_backup_code: "Make a new backup code",
    malformed: "The form could not be read. Please go back and try again.",
    name: "Login name",
    no_such_page: "There is no such page.",
    not_registered: "not registered",
    off: "Do not use",
    off_confirm: "Switch off and delete",
    off_deletes: "Switching off deletes, for everyone: phone numbers, trusted devices, backup \
        codes, and logins that wait for a code. It cannot be undone.",
    off_means: "Nobody is asked for a code. Everything that is saved for two-factor \
        authentication is deleted.",
    off_title: "Switch two-factor authentication off?",
    open: "open",
    password: "Password",
    passwords: "Passwords",
    phone: "SMS",
    phone_form: "Phone number, with country code, such as +81 90 1234 5678",
    refresh: "Refresh",
    remaining: "Remaining",
    reset: "Reset",
    reset_budgets_kept: "The user's limits on wrong codes and messages were kept, because there \
        were several resets this month. A user who has reached them has to wait.",
    reset_clears: "A reset clears this user's phone number, trusted devices, backup code, locks, \
        and unfinished sign-ins. The user is notified, and codes go to their email address again.",
    reset_done: "The user's two-factor authentication was reset.",
    reset_title: "Reset two-factor authentication?",
    save: "Save",
    second_factor: "Two-factor authentication",
    security: "Settings > Security > Two-factor authentication",
    send_again: "Send another code",
    send_by_email: "Send it by email to",
    send_by_sms: "Send it by SMS to",
    sent_nowhere: "No code is on its way.",
    sign_in: "Sign in",
    sign_in_again: "Please sign in again with a code to continue.",
    sign_out: "Sign out",
    signed_in_without_session: "Your sign-in was correct, but something went wrong afterwards. \
        Please sign in again.",
    suspended: "suspended until a reset",
    too_large: "What you entered is too long.",
    trust: "Trust this device",
    trust_means: "You will not be asked for a code here. Do not use it on a shared computer.",
    unlock: "Unlock",
    unlock_done: "The user was unlocked.",
    use_backup_code: "Use the backup code",
    use_email: "By email",
    use_sms: "By SMS",
    user: "User",
    users: "User management",
    who_needs: "Who needs a code",
};

static JAPANESE: Words = Words {
    account: "個人情報",
    administrators_only: "システム管理者のみ",
    administrators_only_means: "標準のシステム管理者にのみ確認コードの入力を求めます。カスタム権限のユーザーは対象外です。",
    another_code: "確認コードが届かない場合",
    backup_code: "バックアップコード",
    backup_code_made: "バックアップコードの発行日時",
    backup_code_none: "バックアップコードはまだ発行されていません。",
    backup_code_once: "書き留めて、安全な場所に保管してください。この画面でのみ表示されます。",
    backup_code_title: "新しいバックアップコード",
    backup_code_what: "確認コードが届かないときに、バックアップコードでログインできます。一度使用すると無効になり、新しいコードが発行されます。新しく発行すると、以前のコードは使用できなくなります。",
    cancel: "キャンセル",
    code: "確認コード",
    code_expired: "この確認コードは有効期限が切れています。新しい確認コードを送信してください。",
    code_title: "確認コードの入力",
    codes: "確認コード",
    confirm: "確認",
    confirm_title: "変更の確認",
    continue_on: "続ける",
    current_setting: "現在の設定",
    deleted: "削除済み",
    deletion: "保存データの削除",
    deletion_finished: "完了日時",
    deletion_started: "開始日時",
    device_expires: "有効期限",
    device_registered: "登録日時",
    device_remove: "削除",
    device_remove_all: "すべて削除",
    device_used: "最終使用日時",
    devices: "信頼できる端末",
    devices_none: "信頼できる端末はありません。",
    edit: "編集",
    email: "メール",
    entire_tenant: "テナント全体",
    entire_tenant_means: "Webまたはモバイルアプリからログインするすべてのユーザーに、確認コードの入力を求めます。",
    failed: "エラーが発生しました。しばらくしてからもう一度お試しください。",
    find: "表示",
    foreign: "別のサイトからのリクエストのため、実行されませんでした。",
    foreign_host: "開発モードでは、このコンピューターからのみ表示できます。",
    how_codes_come: "確認コードの受け取り方法",
    locked_until: "ロック中(解除日時)",
    locks: "ロックの状態",
    make_backup_code: "新しいバックアップコードを発行",
    malformed: "フォームを読み取れませんでした。前の画面に戻って、もう一度お試しください。",
    name: "ログイン名",
    no_such_page: "ページが見つかりません。",
    not_registered: "未登録",
    off: "使用しない",
    off_confirm: "使用を停止して削除",
    off_deletes: "使用を停止すると、すべてのユーザーの電話番号、信頼できる端末、バックアップコード、および確認コード入力待ちのログインが削除されます。この操作は取り消せません。",
    off_means: "確認コードの入力を求めません。2段階認証のために保存されたデータはすべて削除されます。",
    off_title: "2段階認証の使用を停止しますか?",
    open: "ロックされていません",
    password: "パスワード",
    passwords: "パスワード",
    phone: "SMS",
    phone_form: "電話番号(国番号から入力。例: +81 90 1234 5678)",
    refresh: "更新",
    remaining: "残り",
    reset: "リセット",
    reset_budgets_kept: "今月はリセットが複数回行われたため、確認コードの入力回数と送信回数の制限はそのままです。制限に達している場合は、しばらくお待ちいただく必要があります。",
    reset_clears: "リセットすると、このユーザーの電話番号、信頼できる端末、バックアップコード、ロック、完了していないログインが削除されます。ユーザーに通知が送られ、確認コードは再びメールアドレスに送信されます。",
    reset_done: "ユーザーの2段階認証をリセットしました。",
    reset_title: "2段階認証をリセットしますか?",
    save: "保存",
    second_factor: "2段階認証",
    security: "設定 > セキュリティ > 2段階認証",
    send_again: "確認コードを再送信",
    send_by_email: "メールで送信:",
    send_by_sms: "SMSで送信:",
    sent_nowhere: "送信された確認コードはありません。",
    sign_in: "ログイン",
    sign_in_again: "続けるには、確認コードを使用してもう一度ログインしてください。",
    sign_out: "ログアウト",
    signed_in_without_session: "ログインは正しく行われましたが、その後エラーが発生しました。もう一度ログインしてください。",
    suspended: "リセットされるまで停止中",
    too_large: "入力内容が長すぎます。",
    trust: "この端末を信頼する",
    trust_means: "この端末では確認コードの入力が不要になります。共用のコンピューターでは使用しないでください。",
    unlock: "ロックを解除",
    unlock_done: "ユーザーのロックを解除しました。",
    use_backup_code: "バックアップコードを使用",
    use_email: "メールで受け取る",
    use_sms: "SMSで受け取る",
    user: "ユーザー",
    users: "ユーザー管理",
    who_needs: "確認コードが必要なユーザー",
};

/// What a page says of the code that was, or may have been, sent: the text before the destination
/// and the one after it. `sent`: the step before is known to have sent it.
pub(super) const fn sent_to(method: Method, sent: bool, language: Language) -> [&'static str; 2] {
    match (language, sent, method) {
        (Language::English, true, Method::Email) => ["A code was sent by email to ", "."],
        (Language::English, true, Method::Sms) => ["A code was sent by SMS to ", "."],
        (Language::English, false, Method::Email) => {
            ["The code goes by email to ", ". If nothing arrives, ask for another one."]
        }
        (Language::English, false, Method::Sms) => {
            ["The code goes by SMS to ", ". If nothing arrives, ask for another one."]
        }
        (Language::Japanese, true, Method::Email) => ["確認コードをメール(", ")で送信しました。"],
        (Language::Japanese, true, Method::Sms) => ["確認コードをSMS(", ")で送信しました。"],
        (Language::Japanese, false, Method::Email) => {
            ["確認コードはメール(", ")に送信されます。届かない場合は再送信してください。"]
        }
        (Language::Japanese, false, Method::Sms) => {
            ["確認コードはSMS(", ")に送信されます。届かない場合は再送信してください。"]
        }
    }
}

/// Which of several messages counts: the text before the reference and the one after it.
pub(super) const fn only_the_newest(language: Language) -> [&'static str; 2] {
    match language {
        Language::English => [
            "Use the message with the reference ",
            ". Codes of earlier messages do not work any more.",
        ],
        Language::Japanese => [
            "照合番号が",
            "のメッセージの確認コードを入力してください。以前の確認コードは使用できません。",
        ],
    }
}

/// How long a code still works.
pub(super) fn code_works_for(seconds: u64, language: Language) -> String {
    let (minutes, rest) = (seconds / 60, seconds % 60);
    match language {
        Language::English => format!("The code works for another {minutes}:{rest:02} minutes."),
        Language::Japanese => format!("確認コードの有効期限: あと{minutes}分{rest:02}秒"),
    }
}

/// From when on another code can be asked for.
pub(super) fn resend_in(seconds: u64, language: Language) -> String {
    match language {
        Language::English => format!("You can ask for another code in {seconds} seconds."),
        Language::Japanese => format!("{seconds}秒後に再送信できます。"),
    }
}

/// For how many people switching off deletes something.
pub(super) fn deletes_for(users: u64, language: Language) -> String {
    match (language, users) {
        (Language::English, 0) => "Nothing is saved for anyone at the moment.".to_owned(),
        (Language::English, 1) => "Something is saved for 1 user.".to_owned(),
        (Language::English, _) => format!("Something is saved for {users} users."),
        (Language::Japanese, 0) => "現在、保存されているデータはありません。".to_owned(),
        (Language::Japanese, _) => format!("現在、{users}人分のデータが保存されています。"),
    }
}

/// What a page says of a code that the sender did not take.
pub(super) const fn could_not_be_sent(language: Language) -> &'static str {
    match language {
        Language::English => "The code could not be sent. Ask for another one, or use another way.",
        Language::Japanese => {
            "確認コードを送信できませんでした。再送信するか、別の方法を使用してください。"
        }
    }
}

/// What the status says was made, if anything.
pub(super) const fn issued(delivery: &DeliveryStatus) -> Option<&IssuedCode> {
    match delivery {
        DeliveryStatus::Sent(code)
        | DeliveryStatus::Queued(code)
        | DeliveryStatus::PerhapsSent(code)
        | DeliveryStatus::MadeEarlier(code) => Some(code),
        _ => None,
    }
}
