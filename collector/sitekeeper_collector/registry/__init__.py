"""The list of sites: from the office's spreadsheet, as offices write them, to entries that can be stored."""
