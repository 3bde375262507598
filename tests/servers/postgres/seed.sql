create role reader login password 'linecard-pass';

create role writer login password 'linecard-pass';

create role plain login password 'linecard-pass';

create table raw as select pg_read_file('/srv/customers.json')::jsonb as j;

create table customers (id serial primary key, code text unique not null, name text not null, company text, phone text, mobile text, email text, tier text, points bigint, credit_limit numeric(12,2), balance numeric(12,2), vip boolean, tags text[] not null default '{}', updated_at timestamptz not null default '2025-06-01T08:00:00Z');

insert into customers (code, name, company, phone, mobile, email, tier, points, credit_limit, balance, vip) select code, name, nullif(company, ''), nullif(phone, ''), nullif(mobile, ''), email, tier, points, credit_limit, balance, vip from raw, jsonb_to_recordset(j->'customers') as c(code text, name text, company text, phone text, mobile text, email text, tier text, points bigint, credit_limit numeric, balance numeric, vip boolean) order by code;

create table orders (no text primary key, customer text not null references customers(code), date date not null, item text not null, qty integer not null, price numeric(12,2) not null, state text not null);

insert into orders select no, customer, date, item, qty, price, state from raw, jsonb_to_recordset(j->'orders') as o(no text, customer text, date date, item text, qty integer, price numeric, state text);

create table calls (call text primary key, customer text, note text not null, at timestamptz not null default now());

create table kinds (id integer primary key, b boolean, i2 smallint, i4 integer, i8 bigint, n numeric, f4 real, f8 double precision, t text, c char(4), v varchar(10), d date, tm time, ts timestamp, tz timestamptz, u uuid, j jsonb, y bytea, ta text[], ia integer[], inet inet, iv interval, e oid, nothing text);

insert into kinds values (1, true, -7, 2147483647, 9007199254740993, 12800.50, 0.1, 0.1, '陈静 ''x'' \ "q"', 'ab', 'v', '2025-03-02', '08:05:06.5', '2025-03-02 08:05:06.123456', '2025-03-02 16:05:06.123456+08', '6f9619ff-8b86-d011-b42d-00cf4fc964ff', '{"a": 1.50}', '\x00ff', '{a,NULL,"b,c"}', '{1,2}', '10.0.0.1/8', '1 day 02:00:00', 7, null);

insert into kinds (id, n, f8, d, tz, y) values (2, 'NaN', 'infinity', 'infinity', '-infinity', '\x'), (3, 340282366920938463463374607431768211455.000001, '1e300', '0044-03-15 BC', '0001-01-01 00:00:00+00', null);

drop table raw;

create function call_up(who text) returns text language sql volatile as $$ insert into calls (call, note) values (who, 'by a SELECT') returning call $$;

grant select on customers, orders, calls, kinds to reader, writer, plain;

grant insert, update on calls to writer;
