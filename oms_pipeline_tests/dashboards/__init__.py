"""Dashboards: what their files may say, what comes of them as SQL, as a page and in the mail."""
