//! What a relay does besides being a node: it passes on and keeps letters, for those who may use it.
//!
//! Knows the lists by name, and reads them again when it is told to. Invariant: a list that cannot be read changes
//! nothing; whoever is banned has neither lease, talk nor mailbox from the moment that the lists say so.

use std::collections::HashSet;
use std::sync::Arc;

use egtp::{AllowList, Allowed, KindError, Node, PublicKey, Router};
use egtp_services::mailbox::{self, Announcer, Mailboxes};
use egtp_services::relay::{self, DialBack, Relay};

use crate::failure::{Code, Failure};

/// A relay's duties. Clones are the same relay.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    relay: Relay,
    mailboxes: Option<Mailboxes>,
    lists: Arc<Lists>,
}

/// Reads who may what.
pub(crate) type Reading = Box<dyn Fn() -> Result<Admission, Failure> + Send + Sync>;

/// How much of what, for whom.
pub(crate) struct Terms {
    pub(crate) limits: relay::Limits,
    /// `None` if no letters are kept.
    pub(crate) mailboxes: Option<mailbox::Limits>,
    /// Reads who may what, from wherever that is written.
    pub(crate) read: Reading,
}

/// Who may what.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    /// Who may register, and has a mailbox.
    pub(crate) registering: Allowed,
    /// Who may ask which mailboxes are the largest.
    pub(crate) operating: Allowed,
    /// Who may do nothing here.
    pub(crate) banned: HashSet<PublicKey>,
}

struct Lists {
    read: Reading,
    registering: AllowList,
    operating: AllowList,
    /// Who may talk to those who are registered, and leave and fetch letters.
    using: AllowList,
}

/// What goes on beside the node, once there is one: recipients are told that something has come, and who asks for it is
/// called back.
#[derive(Debug)]
pub(crate) struct Beside {
    announcer: Option<Announcer>,
    dialer: DialBack,
}

impl Keeper {
    /// A relay, what its node serves, and what is to go on beside the node.
    ///
    /// # Errors
    /// When a list cannot be read.
    pub(crate) fn new(terms: Terms) -> Result<(Self, Vec<Router>, Beside), Failure> {
        let Terms { limits, mailboxes, read } = terms;
        let lists = Lists::new(read)?;
        let relay = Relay::new(limits);
        let kept = mailboxes.map(|limits| Mailboxes::new(limits, lists.registering()));
        let (mailboxes, announcer) = kept.unzip();
        let keeper = Self { relay, mailboxes, lists: Arc::new(lists) };
        let internal = |error| Failure::new(Code::Internal, error);
        let mut routers = keeper.routers().map_err(internal)?;
        let (dials, dialer) = relay::dial_back().map_err(internal)?;
        routers.push(dials.allow(keeper.lists.registering()));
        Ok((keeper, routers, Beside { announcer, dialer }))
    }

    /// Whether it keeps letters.
    pub(crate) const fn keeps_letters(&self) -> bool {
        self.mailboxes.is_some()
    }

    fn routers(&self) -> Result<Vec<Router>, KindError> {
        let using = || Allowed::Listed(self.lists.using.clone());
        let [registers, talks] = self.relay.routers(self.lists.registering())?;
        let mut routers = vec![registers, talks.allow(using())];
        if let Some(mailboxes) = &self.mailboxes {
            let operating = Allowed::Listed(self.lists.operating.clone());
            let [deposits, collects, operates] = mailboxes.routers(using(), operating)?;
            routers.extend([deposits, collects.allow(using()), operates]);
        }
        Ok(routers)
    }

    /// Reads the lists again; they count from now on, also for those who are there.
    ///
    /// # Errors
    /// When one cannot be read: then all stays as it was.
    pub(crate) fn reload(&self) -> Result<(), Failure> {
        self.lists.read_again()?;
        self.relay.keep(&self.lists.registering.now(), &self.lists.using.now());
        Ok(())
    }

    /// Sends those who are registered to their next relay, and says whether there were any.
    pub(crate) fn drain(&self) -> bool {
        let were_any = self.relay.counts().registered > 0;
        self.relay.drain();
        were_any
    }

    /// What it passes on.
    pub(crate) fn relayed(&self) -> relay::Counts {
        self.relay.counts()
    }

    /// What it keeps, if it keeps letters.
    pub(crate) fn mail(&self) -> Option<mailbox::Counts> {
        self.mailboxes.as_ref().map(Mailboxes::counts)
    }
}

impl Beside {
    /// Begins with it.
    pub(crate) fn begin(self, node: Node) {
        if let Some(announcer) = self.announcer {
            tokio::spawn(announcer.run(node.clone()));
        }
        tokio::spawn(self.dialer.run(node));
    }
}

impl Lists {
    fn new(read: Reading) -> Result<Self, Failure> {
        let nobody = || AllowList::new(Allowed::from_iter([]));
        let (registering, operating, using) = (nobody(), nobody(), nobody());
        let lists = Self { read, registering, operating, using };
        lists.read_again()?;
        Ok(lists)
    }

    fn read_again(&self) -> Result<(), Failure> {
        let Admission { registering, operating, banned } = (self.read)()?;
        self.registering.set(registering.without(&banned));
        self.operating.set(operating.without(&banned));
        self.using.set(Allowed::Anybody.without(&banned));
        Ok(())
    }

    fn registering(&self) -> Allowed {
        Allowed::Listed(self.registering.clone())
    }
}

impl std::fmt::Debug for Lists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lists").field("using", &self.using).finish_non_exhaustive()
    }
}
