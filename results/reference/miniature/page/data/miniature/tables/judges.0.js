FRISM.receive('miniature/tables/judges.0','[]');
