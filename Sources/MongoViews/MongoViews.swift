// MongoViews
