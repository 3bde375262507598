//! An agent's place in a queue as the manager interface changes it.
//!
//! 22.10.1: a pause set anew on a member that is paused takes the place of the old one, with its reason. `QueueAdd` of who is there and `QueueRemove` of who is
//! not are refused, and are what was wanted all the same.

use crate::calls::command::{Attend, Attendance, Failure};

use super::originate::action;

/// Before the request's name, in the ActionID of its action.
pub const ACTION: &str = "lc-queue-";

/// # Errors
/// A value that would break out of its line.
pub fn ami_action(asked: &Attendance) -> Result<Vec<u8>, Failure> {
    let mut fields = vec![("Queue", asked.queue.as_str()), ("Interface", asked.interface.as_str())];
    let name = match &asked.attend {
        Attend::LogOn { name } => {
            fields.extend([("MemberName", name.as_str()), ("StateInterface", asked.interface.as_str())]);
            "QueueAdd"
        }
        Attend::LogOff => "QueueRemove",
        Attend::Pause(because) => {
            fields.extend([("Paused", "true"), ("Reason", because.as_str())]);
            "QueuePause"
        }
        Attend::Resume => {
            fields.push(("Paused", "false"));
            "QueuePause"
        }
    };
    let id = format!("{ACTION}{}", asked.request.0);
    action(name, &id, &fields).ok_or(Failure::UnknownTarget)
}

/// What an answer other than `Success` means (app_queue.c, 22.10.1).
///
/// # Errors
/// Why it was not done.
pub fn refusal(attend: &Attend, message: &str) -> Result<(), Failure> {
    let text = message.to_ascii_lowercase();
    match attend {
        Attend::LogOn { .. } if text.contains("already there") => Ok(()),
        Attend::LogOff if text.contains("not there") => Ok(()),
        _ if text.contains("ermission") => Err(Failure::NotPermitted),
        _ => Err(Failure::UnknownTarget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::command::{Because, RequestId};

    fn asked(attend: Attend) -> Attendance {
        Attendance {
            request: RequestId("lc-9".into()),
            tenant: "default".into(),
            switch: "pbx1".into(),
            agent: "1001".into(),
            queue: "support".into(),
            interface: "PJSIP/1001".into(),
            attend,
        }
    }

    #[test]
    fn each_is_one_action() {
        let pause = Attend::Pause(Because::new("lunch").unwrap());
        for (attend, wanted) in [
            (pause, "QueuePause|lc-queue-lc-9|support|PJSIP/1001|true|lunch"),
            (Attend::Resume, "QueuePause|lc-queue-lc-9|support|PJSIP/1001|false"),
            (Attend::LogOff, "QueueRemove|lc-queue-lc-9|support|PJSIP/1001"),
            (Attend::LogOn { name: "Li".into() }, "QueueAdd|lc-queue-lc-9|support|PJSIP/1001|Li|PJSIP/1001"),
        ] {
            let text = String::from_utf8(ami_action(&asked(attend)).unwrap()).unwrap();
            let values: Vec<&str> = text.lines().filter_map(|line| line.split_once(": ")).map(|(_, v)| v).collect();
            assert_eq!(values.join("|"), wanted);
        }
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        for bad in ["a\r\nAction: Command", "a\n", "\0"] {
            let mut queue = asked(Attend::Resume);
            queue.queue = bad.into();
            let mut interface = asked(Attend::Resume);
            interface.interface = bad.into();
            for asked in [queue, interface, asked(Attend::LogOn { name: bad.into() })] {
                assert_eq!(ami_action(&asked), Err(Failure::UnknownTarget), "{bad:?}");
            }
        }
    }

    #[test]
    fn what_is_so_already_is_done() {
        let on = Attend::LogOn { name: "Li".into() };
        assert_eq!(refusal(&on, "Unable to add interface: Already there"), Ok(()));
        assert_eq!(refusal(&on, "Unable to add interface to queue: No such queue"), Err(Failure::UnknownTarget));
        assert_eq!(refusal(&Attend::LogOff, "Unable to remove interface: Not there"), Ok(()));
        assert_eq!(refusal(&Attend::Resume, "Interface not found"), Err(Failure::UnknownTarget));
        assert_eq!(refusal(&Attend::Resume, "Permission denied"), Err(Failure::NotPermitted));
    }
}
