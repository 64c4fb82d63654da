"""The recognisers behind one interface (`base.Engine`); `choice` picks and builds one."""
