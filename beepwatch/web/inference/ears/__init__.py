"""The sound of an upload arrives; what is said of it leaves. Only workers come here."""
