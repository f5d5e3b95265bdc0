#!/bin/sh
# Keeps Metabase's dashboards as the code has them; when it is done, it waits for the next start.
set -eu

secret() {
    cat "/var/lib/oms-secrets/$1"
}

export OMS_METABASE_PASSWORD="${OMS_METABASE_PASSWORD:-$(secret metabase_admin)}"
# Metabase is told a password; it has no file to look one up.
export OMS_METABASE_DATABASE_URL="${OMS_METABASE_DATABASE_URL:-postgresql://marts_reader:$(secret marts_reader)@postgres:5432/marts}"
oms dashboards sync
touch /tmp/done
exec sleep infinity
