//! `users online`: who there is.

use clap::Args;
use serde::Serialize;
use threefold_client::chat::Account;

use super::{
    ClientOptions, Failure,
    accounts::both_names,
    context::Context,
    output::{More, escape, table, time},
};

/// Of `users`.
#[derive(Args, Debug)]
pub struct UsersArgs {
    /// Part of a name, or a pattern such as `a*z`; everybody if absent
    #[arg(default_value = "")]
    pattern: String,
    /// Continue after this name
    #[arg(long, value_name = "NAME", default_value = "")]
    after: String,
    /// How many at most, up to 200
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

#[derive(Serialize)]
struct Person<'a> {
    name: &'a str,
    account: u64,
    online: bool,
    registered_at_ms: u64,
    administrator: bool,
    display_name: &'a str,
    last_seen_ms: u64,
    disabled: bool,
    bot: bool,
    owner: &'a str,
}

fn print(context: &Context, accounts: &[Account]) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for account in accounts {
        if context.output.is_json() {
            let value = Person {
                name: &account.name,
                account: account.account,
                online: account.online,
                registered_at_ms: account.registered_at_ms,
                administrator: account.administrator,
                display_name: &account.display_name,
                last_seen_ms: account.last_seen_ms,
                disabled: account.disabled,
                bot: account.bot,
                owner: &account.owner_name,
            };
            context.output.result(&value, String::new)?;
        }
        let mut remarks = Vec::new();
        if account.online {
            remarks.push("online".to_owned());
        } else if account.last_seen_ms > 0 {
            remarks.push(format!("last seen {}", time(account.last_seen_ms)));
        }
        if account.bot {
            let owner = if account.owner_name.is_empty() { "(deleted user)" } else { &account.owner_name };
            remarks.push(format!("bot of {}", escape(owner)));
        }
        if account.administrator {
            remarks.push("administrator".to_owned());
        }
        if account.disabled {
            remarks.push("disabled".to_owned());
        }
        rows.push(vec![both_names(&account.name, &account.display_name), remarks.join(", ")]);
    }
    Ok(context.output.remark(&table(&rows))?)
}

/// Lists accounts by name.
pub async fn users(args: UsersArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let page = context.client.search_accounts(&args.pattern, args.limit, &args.after).await?;
    print(&context, &page.accounts)?;
    match page.accounts.last() {
        None => context.output.remark("nobody has such a name")?,
        Some(last) if page.more => context.output.more(More::after(&last.name))?,
        Some(_) => {}
    }
    context.remember().await
}

/// Lists who is online.
pub async fn online(options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let accounts = context.client.online().await?;
    print(&context, &accounts)?;
    if accounts.is_empty() {
        context.output.remark("nobody is online")?;
    }
    context.remember().await
}
