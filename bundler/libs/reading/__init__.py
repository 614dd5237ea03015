"""The files that say what a libs bundle has to hold: pip's, a project's, and other tools' locks."""
