#!/bin/sh
# Makes the roles of the platform on the first start: the owner migrates, the app works without special rights.
# Nobody signs in as the operator: the app becomes it for statements that look across teams.
# psql itself reads the passwords, so that no list of processes shows them.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set owner_password `cat /run/secrets/owner_password`
\set app_password `cat /run/secrets/app_password`
CREATE ROLE labeling_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE CREATEDB PASSWORD :'owner_password';
CREATE ROLE labeling_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB PASSWORD :'app_password';
CREATE ROLE labeling_operator NOLOGIN NOSUPERUSER NOBYPASSRLS;
GRANT labeling_operator TO labeling_app WITH INHERIT FALSE, SET TRUE;
GRANT labeling_operator TO labeling_owner WITH INHERIT FALSE, SET TRUE;
CREATE DATABASE labeling OWNER labeling_owner;
SQL
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname labeling <<'SQL'
REVOKE ALL ON DATABASE labeling FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE labeling TO labeling_app;
GRANT USAGE ON SCHEMA public TO labeling_app, labeling_operator;
ALTER DEFAULT PRIVILEGES FOR ROLE labeling_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO labeling_app, labeling_operator;
ALTER DEFAULT PRIVILEGES FOR ROLE labeling_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO labeling_app, labeling_operator;
ALTER DEFAULT PRIVILEGES FOR ROLE labeling_owner IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO labeling_app, labeling_operator;
SQL
