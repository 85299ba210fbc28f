"""AWS as a source: exports of Data Exports, and legacy Cost and Usage Reports, in a bucket of the tenant."""
