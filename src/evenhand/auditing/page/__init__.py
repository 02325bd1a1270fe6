"""What a person reads of an audit: sentences, one picture, tables; on a page, as PDF, in Excel."""
