FRISM.receive('miniature/tables/ablations.0','[]');
