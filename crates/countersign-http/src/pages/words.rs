//! What the pages say, in English and Japanese.

pub(super) mod described;
mod people;
mod settings;

use countersign::{Method, Scope};

pub(super) use self::people::PeopleWords;
pub(super) use self::settings::SettingsWords;
use crate::texts::Language;

/// The fixed texts of all pages in one language.
pub(super) struct Words {
    pub(super) account: &'static str,
    pub(super) administrators_only: &'static str,
    pub(super) administrators_only_means: &'static str,
    pub(super) another_code: &'static str,
    pub(super) ask_administrator: &'static str,
    pub(super) backup_code: &'static str,
    pub(super) backup_code_made: &'static str,
    pub(super) backup_code_none: &'static str,
    pub(super) backup_code_once: &'static str,
    pub(super) backup_code_title: &'static str,
    pub(super) backup_code_what: &'static str,
    pub(super) cancel: &'static str,
    pub(super) code: &'static str,
    pub(super) code_expired: &'static str,
    pub(super) code_lock: &'static str,
    pub(super) code_title: &'static str,
    pub(super) confirm: &'static str,
    pub(super) repeat: &'static str,
    pub(super) changed_meanwhile: &'static str,
    pub(super) other_person: &'static str,
    pub(super) continue_change: &'static str,
    pub(super) confirm_title: &'static str,
    pub(super) continue_on: &'static str,
    pub(super) current_method: &'static str,
    pub(super) current_setting: &'static str,
    pub(super) deleted: &'static str,
    pub(super) deletion: &'static str,
    pub(super) deletion_finished: &'static str,
    pub(super) deletion_runs: &'static str,
    pub(super) deletion_started: &'static str,
    pub(super) device_expires: &'static str,
    pub(super) device_registered: &'static str,
    pub(super) device_remove: &'static str,
    pub(super) device_remove_all: &'static str,
    pub(super) device_used: &'static str,
    pub(super) devices: &'static str,
    pub(super) devices_none: &'static str,
    pub(super) done_removed: &'static str,
    pub(super) done_saved: &'static str,
    pub(super) done_signed_out: &'static str,
    pub(super) edit: &'static str,
    pub(super) edit_title: &'static str,
    pub(super) email: &'static str,
    pub(super) email_address: &'static str,
    pub(super) entire_tenant: &'static str,
    pub(super) entire_tenant_means: &'static str,
    pub(super) error_title: &'static str,
    pub(super) find: &'static str,
    pub(super) first_write_down: &'static str,
    pub(super) how_codes_come: &'static str,
    pub(super) locked_until: &'static str,
    pub(super) make_backup_code: &'static str,
    pub(super) may_log_in_again: &'static str,
    pub(super) menu: &'static str,
    pub(super) name: &'static str,
    pub(super) no_more_codes: &'static str,
    pub(super) none_made: &'static str,
    pub(super) not_registered: &'static str,
    pub(super) off: &'static str,
    pub(super) off_confirm: &'static str,
    pub(super) off_deletes: &'static str,
    pub(super) off_means: &'static str,
    pub(super) off_title: &'static str,
    pub(super) open: &'static str,
    pub(super) password: &'static str,
    pub(super) password_lock: &'static str,
    pub(super) phone: &'static str,
    pub(super) phone_form: &'static str,
    pub(super) phone_number: &'static str,
    pub(super) really_from: &'static str,
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
    pub(super) setup_not_sent: &'static str,
    pub(super) sign_in: &'static str,
    pub(super) sign_in_again: &'static str,
    pub(super) sign_in_to_continue: &'static str,
    pub(super) sign_out: &'static str,
    pub(super) signed_in_without_session: &'static str,
    pub(super) sms_proof: &'static str,
    pub(super) suspended: &'static str,
    pub(super) trust: &'static str,
    pub(super) trust_means: &'static str,
    pub(super) unlock: &'static str,
    pub(super) unlock_done: &'static str,
    pub(super) unnamed_device: &'static str,
    pub(super) use_backup_code: &'static str,
    pub(super) use_email: &'static str,
    pub(super) use_neither: &'static str,
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
    administrators_only_means: "Only users with the built-in system administrator role are asked \
        for a code. Users with custom roles are not.",
    another_code: "No code, or has it expired?",
    ask_administrator: "If no code arrives at all, ask an administrator for a reset.",
    backup_code: "Backup code",
    backup_code_made: "A backup code was made on",
    backup_code_none: "You have no backup code yet.",
    backup_code_once: "Write it down and keep it in a safe place. You cannot see it again.",
    backup_code_title: "Your new backup code",
    backup_code_what: "Use a backup code to log in when no code arrives. Each backup code works \
        once; using it gives you a new one. Making a new one cancels the old one.",
    cancel: "Cancel",
    code: "Code",
    code_expired: "This code has expired.",
    code_lock: "Code lock",
    code_title: "Enter the code",
    confirm: "Confirm",
    repeat: "Please repeat your change now.",
    changed_meanwhile: "Somebody else has changed the setting meanwhile. Please check it and try \
        again.",
    other_person: "Somebody else has logged in in this browser meanwhile. Please check whose page \
        this is.",
    continue_change: "Enter the code that confirms the change",
    confirm_title: "Confirm where codes are sent",
    continue_on: "Continue",
    current_method: "Current method",
    current_setting: "Current setting",
    deleted: "Records deleted",
    deletion: "Deletion of saved data",
    deletion_finished: "Finished on",
    deletion_runs: "The deletion runs in the background.",
    deletion_started: "Started on",
    device_expires: "Trusted until",
    device_registered: "Trusted since",
    device_remove: "Remove",
    device_remove_all: "Remove all",
    device_used: "Last used",
    devices: "Trusted devices",
    devices_none: "You have no trusted devices.",
    done_removed: "The device was removed.",
    done_saved: "Your change was saved.",
    done_signed_out: "You have logged out.",
    edit: "Edit",
    edit_title: "Edit two-factor authentication",
    email: "Email",
    email_address: "Email address",
    entire_tenant: "Entire tenant",
    entire_tenant_means: "Everyone who signs in on the web or in the mobile application is asked \
        for a code.",
    error_title: "This page cannot be shown",
    find: "Show",
    first_write_down: "First write down the new backup code below; the old one no longer works.",
    how_codes_come: "How codes are sent",
    locked_until: "Locked until",
    make_backup_code: "Make a new backup code",
    may_log_in_again: "You may have to log in again with a code.",
    menu: "Menu",
    name: "Login name",
    no_more_codes: "No more codes can be sent for this login. If yours does not work, cancel and \
        log in again.",
    none_made: "None",
    not_registered: "Not registered",
    off: "Do not use",
    off_confirm: "Switch off and delete",
    off_deletes: "This deletes every user's phone number, trusted devices, backup code and \
        unfinished logins. You cannot undo it.",
    off_means: "Nobody is asked for a code after the password. All saved two-factor authentication \
        data is deleted.",
    off_title: "Switch off two-factor authentication?",
    open: "Not locked",
    password: "Password",
    password_lock: "Password lock",
    phone: "SMS",
    phone_form: "Phone number, with country code, such as +81 90 1234 5678",
    phone_number: "Phone number",
    really_from: "First make sure that the request really comes from this user.",
    refresh: "Refresh",
    remaining: "Records left",
    reset: "Reset two-factor authentication",
    reset_budgets_kept: "The counts of wrong codes and sent codes were kept: only a limited \
        number of resets in 30 days clears them. If the user has reached a limit, they have to \
        wait.",
    reset_clears: "This deletes the user's phone number, trusted devices, backup code and \
        unfinished logins, and lifts their locks. The user is notified, and codes go to their \
        email address again.",
    reset_done: "The user's two-factor authentication was reset.",
    reset_title: "Reset two-factor authentication?",
    save: "Save",
    second_factor: "Two-factor authentication",
    security: "Settings > Security > Two-factor authentication",
    send_again: "Get a new code",
    send_by_email: "Get a new code by email to",
    send_by_sms: "Get a new code by SMS to",
    sent_nowhere: "No code has been sent.",
    setup_not_sent: "The code could not be sent. Check the address or number, and try again later.",
    sign_in: "Log in",
    sign_in_again: "Please log in again with a code, then repeat what you wanted to do.",
    sign_in_to_continue: "Please log in to continue.",
    sign_out: "Log out",
    signed_in_without_session: "Your login was accepted, but could not be completed. Please log \
        in again.",
    sms_proof: "We send a code to this number to confirm it.",
    suspended: "Blocked until a reset",
    trust: "Trust this device",
    trust_means: "This browser will not be asked for a code for a while. Do not choose this on a \
        shared computer.",
    unlock: "Unlock",
    unlock_done: "The user was unlocked.",
    unnamed_device: "Unnamed device",
    use_backup_code: "Use a backup code",
    use_email: "Get codes by email",
    use_neither: "If you can use neither, ask an administrator for a reset.",
    use_sms: "Get codes by SMS",
    user: "User ID",
    users: "User management",
    who_needs: "Use of two-factor authentication",
};

static JAPANESE: Words = Words {
    account: "個人設定",
    administrators_only: "システム管理者のみ",
    administrators_only_means: "標準のシステム管理者ロールを持つユーザーにのみ、確認コードの入力を求めます。独自に作成したロールのユーザーは対象外です。",
    another_code: "確認コードが届かない場合、または有効期限が切れた場合",
    ask_administrator: "確認コードがまったく届かない場合は、管理者に2段階認証のリセットを依頼してください。",
    backup_code: "バックアップコード",
    backup_code_made: "バックアップコードの発行日時:",
    backup_code_none: "バックアップコードはまだ発行されていません。",
    backup_code_once: "書き留めて、安全な場所に保管してください。このコードは二度と表示されません。",
    backup_code_title: "新しいバックアップコード",
    backup_code_what: "確認コードが届かないときは、バックアップコードでログインできます。バックアップコードは1回だけ使用でき、使用すると新しいコードが発行されます。新しいコードを発行すると、以前のコードは使用できなくなります。",
    cancel: "キャンセル",
    code: "確認コード",
    code_expired: "この確認コードは有効期限が切れています。",
    code_lock: "確認コードのロック",
    code_title: "確認コードの入力",
    confirm: "変更を確定",
    repeat: "操作をもう一度行ってください。",
    changed_meanwhile: "設定がほかのユーザーによって変更されています。内容を確認して、もう一度お試しください。",
    other_person: "このブラウザーで別のユーザーがログインしています。どのユーザーの画面か確認してください。",
    continue_change: "変更を確定する確認コードを入力",
    confirm_title: "確認コードの送信先の確認",
    continue_on: "続ける",
    current_method: "現在の方法",
    current_setting: "現在の設定",
    deleted: "削除済みの件数",
    deletion: "保存データの削除",
    deletion_finished: "完了日時",
    deletion_runs: "削除はバックグラウンドで実行されます。",
    deletion_started: "開始日時",
    device_expires: "有効期限",
    device_registered: "登録日時",
    device_remove: "削除",
    device_remove_all: "すべて削除",
    device_used: "最終使用日時",
    devices: "信頼できる端末",
    devices_none: "信頼できる端末は登録されていません。",
    done_removed: "端末を削除しました。",
    done_saved: "変更を保存しました。",
    done_signed_out: "ログアウトしました。",
    edit: "編集",
    edit_title: "2段階認証の設定の変更",
    email: "メール",
    email_address: "メールアドレス",
    entire_tenant: "テナント全体",
    entire_tenant_means: "Webまたはモバイルアプリからログインするすべてのユーザーに、確認コードの入力を求めます。",
    error_title: "ページを表示できません",
    find: "表示",
    first_write_down: "先に、以下の新しいバックアップコードを書き留めてください。以前のコードは使用できません。",
    how_codes_come: "確認コードの受け取り方法",
    locked_until: "ロック中。解除日時:",
    make_backup_code: "新しいバックアップコードを発行",
    may_log_in_again: "保存後、確認コードによる再ログインが必要になる場合があります。",
    menu: "メニュー",
    name: "ログイン名",
    no_more_codes: "このログインでは、これ以上確認コードを送信できません。確認コードを使用できない場合は、キャンセルしてログインし直してください。",
    none_made: "未発行",
    not_registered: "未登録",
    off: "使用しない",
    off_confirm: "使用を停止して削除",
    off_deletes: "すべてのユーザーの電話番号、信頼できる端末、バックアップコード、および完了していないログインが削除されます。この操作は取り消せません。",
    off_means: "パスワードでのログイン時に、確認コードの入力を求めません。2段階認証用に保存されているデータはすべて削除されます。",
    off_title: "2段階認証の使用を停止しますか？",
    open: "ロックされていません",
    password: "パスワード",
    password_lock: "パスワードのロック",
    phone: "SMS",
    phone_form: "電話番号（国番号を含む。例: +81 90 1234 5678）",
    phone_number: "電話番号",
    really_from: "必ず本人からの依頼であることを確認してから実行してください。",
    refresh: "更新",
    remaining: "残りの件数",
    reset: "2段階認証をリセット",
    reset_budgets_kept: "確認コードの誤入力回数と送信回数は、リセットされていません。これらの回数をリセットできるのは、30日間に一定の回数までです。ユーザーが上限に達している場合は、しばらく待つ必要があります。",
    reset_clears: "このユーザーの電話番号、信頼できる端末、バックアップコード、完了していないログインが削除され、ロックが解除されます。ユーザーに通知が送信され、以後の確認コードは登録済みのメールアドレスに送信されます。",
    reset_done: "ユーザーの2段階認証をリセットしました。",
    reset_title: "2段階認証をリセットしますか？",
    save: "保存",
    second_factor: "2段階認証",
    security: "設定 > セキュリティ > 2段階認証",
    send_again: "確認コードを再送信",
    send_by_email: "メールで送信:",
    send_by_sms: "SMSで送信:",
    sent_nowhere: "確認コードは送信されていません。",
    setup_not_sent: "確認コードを送信できませんでした。送信先を確認し、しばらくしてからもう一度お試しください。",
    sign_in: "ログイン",
    sign_in_again: "この操作を行うには、確認コードを使用してもう一度ログインしてください。ログイン後に、操作をやり直してください。",
    sign_in_to_continue: "続けるには、ログインしてください。",
    sign_out: "ログアウト",
    signed_in_without_session: "認証には成功しましたが、ログインを完了できませんでした。もう一度ログインしてください。",
    sms_proof: "電話番号を確認するため、確認コードを送信します。",
    suspended: "リセットするまで使用不可",
    trust: "この端末を信頼する",
    trust_means: "このブラウザーでは、一定期間、確認コードの入力が不要になります。共用のコンピューターでは選択しないでください。",
    unlock: "ロックを解除",
    unlock_done: "ユーザーのロックを解除しました。",
    unnamed_device: "名前のない端末",
    use_backup_code: "バックアップコードでログイン",
    use_email: "メールで受け取る",
    use_neither: "どちらも使用できない場合は、管理者に2段階認証のリセットを依頼してください。",
    use_sms: "SMSで受け取る",
    user: "ユーザーID",
    users: "ユーザー管理",
    who_needs: "2段階認証の使用",
};

/// Says where the code was sent, as the text before and after the destination. `sent`: whether it
/// is certain.
pub(super) const fn sent_to(method: Method, sent: bool, language: Language) -> [&'static str; 2] {
    match (language, sent, method) {
        (Language::English, true, Method::Email) => ["A code was sent by email to ", "."],
        (Language::English, true, Method::Sms) => ["A code was sent by SMS to ", "."],
        (Language::English, false, Method::Email) => {
            ["Enter the code from the email to ", ". If it has not arrived, get a new one."]
        }
        (Language::English, false, Method::Sms) => {
            ["Enter the code from the SMS to ", ". If it has not arrived, get a new one."]
        }
        (Language::Japanese, true, Method::Email) => ["", " に確認コードをメールで送信しました。"],
        (Language::Japanese, true, Method::Sms) => ["", " に確認コードをSMSで送信しました。"],
        (Language::Japanese, false, Method::Email) => [
            "",
            " 宛てのメールに記載されている確認コードを入力してください。届いていない場合は、再送信してください。",
        ],
        (Language::Japanese, false, Method::Sms) => [
            "",
            " 宛てのSMSに記載されている確認コードを入力してください。届いていない場合は、再送信してください。",
        ],
    }
}

/// Says where the code went that confirms a destination, as the text before and after it.
pub(super) const fn confirm_sent(language: Language) -> [&'static str; 2] {
    match language {
        Language::English => {
            ["Enter the code from the message to ", ". If none arrives, cancel and start again."]
        }
        Language::Japanese => [
            "",
            " 宛てのメッセージに記載されている確認コードを入力してください。届かない場合は、キャンセルして最初からやり直してください。",
        ],
    }
}

/// Says which message's code to use, as the text before and after the reference.
pub(super) const fn only_the_newest(language: Language) -> [&'static str; 2] {
    match language {
        Language::English => {
            ["Use the code from the message with the reference ", ". Earlier codes no longer work."]
        }
        Language::Japanese => [
            "「",
            "」と記載されているメッセージの確認コードを入力してください。以前に届いた確認コードは使用できません。",
        ],
    }
}

/// Says how long a code still works.
pub(super) fn code_works_for(seconds: u64, language: Language) -> String {
    let (minutes, rest) = (seconds / 60, seconds % 60);
    match language {
        Language::English => format!("The code expires in {minutes}:{rest:02}."),
        Language::Japanese => format!("確認コードの有効期限: あと{minutes}分{rest:02}秒"),
    }
}

/// Says when another code can be asked for.
pub(super) fn resend_in(seconds: u64, language: Language) -> String {
    let (minutes, rest) = (seconds / 60, seconds % 60);
    let hours = seconds.div_ceil(3_600);
    match (language, minutes) {
        (Language::English, ..60) => format!("You can get a new code in {minutes}:{rest:02}."),
        (Language::English, _) if hours == 1 => "You can get a new code in 1 hour.".to_owned(),
        (Language::English, _) => format!("You can get a new code in {hours} hours."),
        (Language::Japanese, ..60) => format!("{minutes}分{rest:02}秒後に再送信できます。"),
        (Language::Japanese, _) => format!("{hours}時間後に再送信できます。"),
    }
}

/// Says how many users' data switching off deletes.
pub(super) fn deletes_for(users: u64, language: Language) -> String {
    match (language, users) {
        (Language::English, 0) => "There is no saved data to delete.".to_owned(),
        (Language::English, 1) => "The data of 1 user will be deleted.".to_owned(),
        (Language::English, _) => format!("The data of {users} users will be deleted."),
        (Language::Japanese, 0) => "削除されるデータはありません。".to_owned(),
        (Language::Japanese, _) => format!("{users}人分のデータが削除されます。"),
    }
}

/// Says that the sender refused the code.
pub(super) const fn could_not_be_sent(language: Language) -> &'static str {
    match language {
        Language::English => "The code could not be sent. Get a new one.",
        Language::Japanese => "確認コードを送信できませんでした。再送信してください。",
    }
}
