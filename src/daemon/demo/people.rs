//! The people of the demo. All made up; the numbers are those of the recordings, of ranges kept for fiction, or nobody's.

/// A customer whom the demo's systems know.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    pub id: u32,
    pub name: &'static str,
    pub company: &'static str,
    /// As somebody typed it into the ERP; a lookup has to see through it.
    pub typed: &'static str,
    /// Digits of the E.164 form.
    pub digits: &'static str,
    /// Empty: the ERP has none.
    pub email: &'static str,
    pub level: &'static str,
    /// What is owed, in CNY; money stays text so that no digit is lost.
    pub balance: &'static str,
    pub points: u32,
    pub tier: &'static str,
    /// Order number, what was bought, state, amount.
    pub orders: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

pub const PEOPLE: &[Person] = &[
    Person {
        id: 1001,
        name: "陈静",
        company: "明湖贸易有限公司",
        typed: "138-0013-8000",
        digits: "8613800138000",
        email: "",
        level: "A",
        balance: "12860.50",
        points: 4820,
        tier: "gold",
        orders: &[
            ("SO-20261102-17", "不锈钢保温壶 x 120", "shipped", "9360.00"),
            ("SO-20261120-03", "玻璃茶具 x 40", "packing", "3500.50"),
        ],
    },
    Person {
        id: 1002,
        name: "李伟",
        company: "东方电器",
        typed: "(0086) 139 0013 9000",
        digits: "8613900139000",
        email: "li.wei@customers.example",
        level: "B",
        balance: "0.00",
        points: 310,
        tier: "silver",
        orders: &[("SO-20261119-08", "Coffee machine X2", "returned", "2199.00")],
    },
    Person {
        id: 1003,
        name: "Mary Jones",
        company: "Riverside Hotel Shanghai",
        typed: "021 6123 0001",
        digits: "862161230001",
        email: "mary.jones@customers.example",
        level: "A",
        balance: "-240.00",
        points: 15020,
        tier: "platinum",
        orders: &[("SO-20261121-11", "Bed linen x 300", "paid", "41700.00")],
    },
    // Two people of one household: the number alone does not tell them apart.
    Person {
        id: 1004,
        name: "王芳",
        company: "",
        typed: "020-88886666",
        digits: "862088886666",
        email: "",
        level: "C",
        balance: "59.90",
        points: 88,
        tier: "basic",
        orders: &[("SO-20261117-29", "儿童自行车", "shipped", "459.00")],
    },
    Person {
        id: 1005,
        name: "王军",
        company: "",
        typed: "020 8888 6666",
        digits: "862088886666",
        email: "",
        level: "C",
        balance: "0.00",
        points: 0,
        tier: "basic",
        orders: &[],
    },
    Person {
        id: 1006,
        name: "Oliver Smith",
        company: "Smith & Sons Ltd",
        typed: "+44 20 7946 0123",
        digits: "442079460123",
        email: "",
        level: "B",
        balance: "1800.00",
        points: 900,
        tier: "silver",
        orders: &[("SO-20261030-02", "Tea sampler", "delivered", "320.00")],
    },
    // A neighbour in the list: its last digits are those of 13800138000, and it must never be shown for it.
    Person {
        id: 1007,
        name: "周敏",
        company: "",
        typed: "0512 00138000",
        digits: "8651200138000",
        email: "",
        level: "C",
        balance: "0.00",
        points: 12,
        tier: "basic",
        orders: &[],
    },
];

/// Who calls in the demo, as the trunk says it: known, known with the area code, shared, international, unknown to all, withheld.
pub const CALLERS: &[&str] =
    &["13800138000", "13900139000", "02161230001", "02088886666", "00442079460123", "13700137000", ""];

/// Whom the agents call in the demo.
pub const CALLED: &[&str] = &["13800138000", "13900139000", "02161230001"];
