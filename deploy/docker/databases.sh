#!/bin/sh
# Makes the databases of Dagster, Metabase and the published marts, each with its own role, and one role more that only
# reads marts. The image runs this once, on an empty server.
set -eu

run() {
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 "$@"
}

for name in dagster marts marts_reader metabase; do
    run --set=name="$name" --set=password="$(cat "/var/lib/oms-secrets/$name")" <<'SQL'
create role :"name" login password :'password';
SQL
done

for name in dagster marts metabase; do
    run --set=name="$name" <<'SQL'
create database :"name" owner :"name";
revoke all on database :"name" from public;
SQL
done

run --dbname=marts <<'SQL'
grant connect on database marts to marts_reader;
alter default privileges for role marts grant usage on schemas to marts_reader;
alter default privileges for role marts grant select on tables to marts_reader;
SQL
