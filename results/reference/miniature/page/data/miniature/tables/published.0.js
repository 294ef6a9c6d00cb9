FRISM.receive('miniature/tables/published.0','[]');
